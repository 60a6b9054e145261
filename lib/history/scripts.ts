import { type Script, scriptOf } from '../cluster/redis-script.js';
import { fenceOf } from './fence.js';
import type { Retention } from './room-log.js';

/** The scripts of all rooms with one rule: what the rule says is part of their text, so that no call has to say it. */
export interface Scripts {
  readonly append: Script;
  readonly read: Script;
  readonly top: Script;
  readonly clear: Script;
}

export interface Scripted extends Retention {
  /** Another epoch when this Redis can't vouch for the log. */
  isFenced: boolean;
  /** The room's rule, as this process has it. */
  ruleText: string;
  publish: 'PUBLISH' | 'SPUBLISH';
}

/** ioredis may send a command again when its connection broke. Without a key, the message would be stored twice. */
const ONCE_MS = 60_000;

export function scriptsOf(rule: Scripted): Scripts {
  const head = headOf(rule);
  return {
    append: scriptOf(head + APPEND),
    read: scriptOf(head + READ),
    top: scriptOf(head + TOP),
    clear: scriptOf(head + CLEAR),
  };
}

/**
 * What each script knows of the rule, and of this Redis.
 */
function headOf(rule: Scripted): string {
  const { mode, size, ttlMs, maxBytes, keyTtlMs, metaTtlMs, emptyTtlMs, isFenced, ruleText, publish } = rule;
  return `
local mode, size, ttl, maxBytes = '${mode}', ${size}, ${ttlMs}, ${maxBytes}
local metaTtl, emptyTtl, keyTtl, onceTtl = ${metaTtlMs}, ${emptyTtlMs}, ${keyTtlMs}, ${Math.min(ONCE_MS, metaTtlMs)}
local rule, publish = '${ruleText}', '${publish}'
${fenceOf(isFenced)}${ASK}`;
}

/** Reads a key. nil if another program has overwritten it with another type. */
const ASK = `
local function ask(...)
  local answer = redis.pcall(...)
  if type(answer) ~= 'table' or not answer.err then return answer end
  if not string.find(answer.err, 'WRONGTYPE', 1, true) then redis.call(...) end -- throws it
  return nil
end
`;

/**
 * The beginning of what is done with a room. Creates its log if there is none. Begins a new epoch if messages may be lost, also
 * where another program has written into its keys.
 * The first write must be one that a Redis without memory refuses. After any other write, it would let the rest pass.
 *
 * facts: the key with the facts of the log · entries: the key with its entries, which have ids `<offset>-<ms>` · fresh: an epoch
 * to begin, if one begins · foreign: which keys another program had written, m, h or k
 */
const OPEN = `
local known, count = redis.pcall('HMGET', facts, 'epoch', 'top', 'replid', 'bytes', 'rule'), redis.pcall('XLEN', entries)
if known.err or type(count) == 'table' then
  known, count = ask('HMGET', facts, 'epoch', 'top', 'replid', 'bytes', 'rule'), ask('XLEN', entries)
end
local epoch, top, bytes, otherRule, foreign = nil, nil, nil, '', ''
local function begin()
  redis.call('SET', facts, '') -- whatever type it has
  redis.call('DEL', facts, entries)
  redis.call('HSET', facts, 'epoch', fresh, 'top', 0, 'replid', replid, 'bytes', 0, 'rule', rule)
  epoch, top, bytes, count = fresh, 0, 0, 0
end
if not known or (known[1] and not (tonumber(known[2]) and tonumber(known[4]))) then foreign = 'm' end
if not count then foreign = foreign .. 'h' end
if foreign ~= '' or mayHaveLost(known[1], known[3]) then begin()
else
  epoch, top, bytes = known[1], tonumber(known[2]), count == 0 and 0 or tonumber(known[4])
  if known[5] ~= rule then
    otherRule = known[5] or ''
    redis.call('HSET', facts, 'rule', rule)
  end
end
local function stay(newest) redis.call('PEXPIRE', facts, newest == 0 and emptyTtl or metaTtl) end
local function partsOf(id)
  local offset, ms = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(offset), tonumber(ms)
end
local function sizeOf(fields) return #fields[2] + (fields[4] and #fields[4] or 0) end
local function trim()
  local keep
  local atOnce = 2 -- usually the oldest goes, and the next stays
  while count > 0 do
    local from = keep and (keep .. '-0') or '-'
    local head = redis.call('XRANGE', entries, from, '+', 'COUNT', atOnce)
    atOnce = 64
    local isDone = false
    for _, entry in ipairs(head) do
      local offset, ms = partsOf(entry[1])
      if count <= size and bytes <= maxBytes and now - ms < ttl then isDone = true break end
      count, bytes, keep = count - 1, bytes - sizeOf(entry[2]), offset + 1
    end
    if isDone or #head == 0 then break end
  end
  if keep then redis.call('XTRIM', entries, 'MINID', '=', keep .. '-0') end
  return keep ~= nil
end
`;

/** For a script that is for one room. KEYS: its facts, its entries. ARGV[1] an epoch to begin */
const ONE = `local facts, entries, fresh = KEYS[1], KEYS[2], ARGV[1]
${OPEN}`;

/**
 * For each message three keys, the third where a key is given, else the first again, and three arguments.
 * ARGV[1] an epoch to begin · then for each: frame · '', or session or '-', digest of what is published with the key, and version ·
 * channel
 * @returns a line for each (many small answers cost the client more): stored, known (the key), older (the version) or reused (the
 * key, for something else); epoch; offset; the keys that were overwritten, or -; the rule that was there before, if it was another
 */
const APPEND = `
local function add(call, entries, offset, frame, session)
  local id = offset .. '-' .. nowText
  if session == '-' then return call('XADD', entries, id, 'f', frame) end
  return call('XADD', entries, id, 'f', frame, 's', session)
end
local function append(facts, entries, keyed, fresh, frame, more, channel)
  local session, digest, version = '-', '-', ''
  if more ~= '' then session, digest, version = string.match(more, '^(%S+) (%S+) (%S*)$') end
  ${OPEN}
  local isKeyed = keyed ~= facts
  if isKeyed then
    local earlier = ask('GET', keyed)
    local keyEpoch, offset, said = string.match(earlier or '', '^(%S+) (%d+) (%S+)$')
    if keyEpoch == epoch then
      stay(top) -- a write, so that waiting for a replica covers the earlier writes
      return (said == digest and 'known ' or 'reused ') .. epoch .. ' ' .. offset .. ' - '
    elseif earlier ~= false and not keyEpoch then -- it isn't known whether this epoch has it
      foreign = foreign .. 'k'
      begin()
    end
  end
  if version ~= '' then
    local last = redis.call('HMGET', facts, 'version', 'offset')
    if last[1] and tonumber(version) <= tonumber(last[1]) then return 'older ' .. epoch .. ' ' .. last[2] .. ' - ' end
  end
  local offset = top + 1
  if mode == 'last' then
    redis.call('HSET', facts, 'top', offset, 'offset', offset, 'at', nowText, 'frame', frame, 'session', session)
    if version == '' then redis.call('HDEL', facts, 'version') else redis.call('HSET', facts, 'version', version) end
  else
    local added = add(redis.pcall, entries, offset, frame, session)
    if type(added) == 'table' then
      if string.find(added.err, 'ID specified', 1, true) then -- there is a higher one: it isn't ours
        foreign = foreign .. 'h'
        begin()
        offset = 1
      end
      add(redis.call, entries, offset, frame, session)
    end
    count = count + 1
    bytes = bytes + #frame + (session ~= '-' and #session or 0)
    trim()
    redis.call('HSET', facts, 'top', offset, 'bytes', bytes)
    redis.call('PEXPIRE', entries, ttl)
  end
  if isKeyed then
    redis.call('SET', keyed, epoch .. ' ' .. offset .. ' ' .. digest, 'PX', digest == '-' and onceTtl or keyTtl)
  end
  stay(offset)
  redis.call(publish, channel, 'P ' .. epoch .. ' ' .. offset .. ' ' .. nowText .. ' ' .. session .. '\\n' .. frame)
  return 'stored ' .. epoch .. ' ' .. offset .. ' ' .. (foreign == '' and '-' or foreign) .. ' ' .. otherRule
end
local answers = {}
for n = 1, #KEYS / 3 do
  local fresh = n == 1 and ARGV[1] or ARGV[1] .. '.' .. n
  answers[n] = append(KEYS[3 * n - 2], KEYS[3 * n - 1], KEYS[3 * n], fresh, ARGV[3 * n - 1], ARGV[3 * n], ARGV[3 * n + 1])
end
return table.concat(answers, '\\n')
`;

/**
 * ARGV[2] entries after this offset, or '' · [3] entries before it, or '' · [4] at most so many · [5] bytes · [6] 1: newest first
 * @returns epoch, top, first, 1 for complete, the time, the rule that was there before, the keys that were overwritten, then
 * offset, ms, frame, session of each entry
 */
const READ = `${ONE}
local first = top + 1
local since, before, limit, readBytes = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local found, taken, takenBytes, isWhole = {}, 0, 0, true
local function take(offset, ms, frame, session)
  if taken >= limit or (taken > 0 and takenBytes + #frame > readBytes) then
    isWhole = false
    return false
  end
  taken, takenBytes = taken + 1, takenBytes + #frame
  local n = #found
  found[n + 1], found[n + 2], found[n + 3], found[n + 4] = offset, ms, frame, session
  return true
end
local low, high
if mode == 'last' then
  local last = redis.call('HMGET', facts, 'offset', 'at', 'frame', 'session')
  if last[1] and now - tonumber(last[2]) < ttl then first = tonumber(last[1]) end
  low, high = since and since + 1 or first, before and math.min(before - 1, top) or top
  if first <= top and first >= low and first <= high then take(first, last[2], last[3], last[4]) end
  low = first
else
  if trim() then redis.call('HSET', facts, 'bytes', bytes) end
  local head = redis.call('XRANGE', entries, '-', '+', 'COUNT', 1)
  if head[1] then first = partsOf(head[1][1]) end
  low, high = since and since + 1 or first, before and math.min(before - 1, top) or top
  local from, to = math.max(low, first), high
  while from <= to do
    local part
    if ARGV[6] == '1' then part = redis.call('XREVRANGE', entries, to .. '-18446744073709551615', from .. '-0', 'COUNT', 64)
    else part = redis.call('XRANGE', entries, from .. '-0', to .. '-18446744073709551615', 'COUNT', 64) end
    if #part == 0 then break end
    local goesOn = true
    for _, entry in ipairs(part) do
      local offset, ms = partsOf(entry[1])
      goesOn = take(offset, string.format('%.0f', ms), entry[2][2], entry[2][4] or '-')
      if not goesOn then break end
      if ARGV[6] == '1' then to = offset - 1 else from = offset + 1 end
    end
    if not goesOn then break end
  end
end
stay(top)
local isComplete = isWhole and (low > high or low >= first)
local answer = { epoch, top, first, isComplete and 1 or 0, nowText, otherRule, foreign }
for n = 1, #found do answer[n + 7] = found[n] end
return answer
`;

/** @returns epoch, top, the rule that was there before, the keys that were overwritten */
const TOP = `${ONE}
stay(top)
return { epoch, top, otherRule, foreign }
`;

/** ARGV[2] channel. @returns as TOP */
const CLEAR = `${ONE}
begin()
stay(0)
redis.call(publish, ARGV[2], 'C ' .. fresh)
return { fresh, 0, '', foreign }
`;
