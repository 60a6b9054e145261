import { type Script, scriptOf } from './evaluate.js';
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
function headOf({ mode, size, ttlMs, maxBytes, keyTtlMs, metaTtlMs, isFenced, ruleText, publish }: Scripted): string {
  return `
local mode, size, ttl, maxBytes = '${mode}', ${size}, ${ttlMs}, ${maxBytes}
local metaTtl, keyTtl, onceTtl = ${metaTtlMs}, ${keyTtlMs}, ${Math.min(ONCE_MS, metaTtlMs)}
local rule, publish = '${ruleText}', '${publish}'
${fenceOf(isFenced)}`;
}

/**
 * The beginning of what is done with a room. Creates its log if there is none. Begins a new epoch if messages may be lost.
 * The first write must be one that a Redis without memory refuses. After any other write, it would let the rest pass.
 *
 * facts: the key with the facts of the log · entries: the key with its entries, which have ids `<offset>-<ms>` · fresh: an epoch
 * to begin, if one begins
 */
const OPEN = `
local known = redis.call('HMGET', facts, 'epoch', 'top', 'replid', 'bytes', 'rule')
local function begin()
  redis.call('HSET', facts, 'epoch', fresh, 'top', 0, 'replid', replid, 'bytes', 0, 'rule', rule)
  redis.call('HDEL', facts, 'offset', 'at', 'frame', 'session', 'version')
  redis.call('DEL', entries)
  known = { fresh, '0', replid, '0', rule }
end
if mayHaveLost(known[1], known[3]) then begin() end
local otherRule = ''
if known[5] ~= rule then
  otherRule = known[5] or ''
  redis.call('HSET', facts, 'rule', rule)
end
local function stay() redis.call('PEXPIRE', facts, metaTtl) end
local epoch, top, bytes = known[1], tonumber(known[2]), tonumber(known[4])
if redis.call('EXISTS', entries) == 0 then bytes = 0 end
local function partsOf(id)
  local offset, ms = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(offset), tonumber(ms)
end
local function sizeOf(fields) return #fields[2] + (fields[4] and #fields[4] or 0) end
local function trim()
  local count = redis.call('XLEN', entries)
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
 * key, for something else); epoch; offset; the rule that was there before, if it was another
 */
const APPEND = `
local function append(facts, entries, keyed, fresh, frame, more, channel)
  local session, digest, version = '-', '-', ''
  if more ~= '' then session, digest, version = string.match(more, '^(%S+) (%S+) (%S*)$') end
  ${OPEN}
  local isKeyed = keyed ~= facts
  if isKeyed then
    local earlier = redis.call('GET', keyed)
    if earlier then
      local keyEpoch, offset, said = string.match(earlier, '^(%S+) (%d+) (%S+)$')
      if keyEpoch == epoch then
        stay() -- a write: whoever waits for a replica waits for all of before
        return (said == digest and 'known ' or 'reused ') .. epoch .. ' ' .. offset .. ' '
      end
    end
  end
  if version ~= '' then
    local last = redis.call('HMGET', facts, 'version', 'offset')
    if last[1] and tonumber(version) <= tonumber(last[1]) then return 'older ' .. epoch .. ' ' .. last[2] .. ' ' end
  end
  local offset = top + 1
  if mode == 'last' then
    redis.call('HSET', facts, 'top', offset, 'offset', offset, 'at', nowText, 'frame', frame, 'session', session)
    if version == '' then redis.call('HDEL', facts, 'version') else redis.call('HSET', facts, 'version', version) end
  else
    local id = offset .. '-' .. nowText
    if session == '-' then redis.call('XADD', entries, id, 'f', frame)
    else redis.call('XADD', entries, id, 'f', frame, 's', session) end
    bytes = bytes + #frame + (session ~= '-' and #session or 0)
    trim()
    redis.call('HSET', facts, 'top', offset, 'bytes', bytes)
    redis.call('PEXPIRE', entries, ttl)
  end
  if isKeyed then
    redis.call('SET', keyed, epoch .. ' ' .. offset .. ' ' .. digest, 'PX', digest == '-' and onceTtl or keyTtl)
  end
  stay()
  redis.call(publish, channel, 'P ' .. epoch .. ' ' .. offset .. ' ' .. nowText .. ' ' .. session .. '\\n' .. frame)
  return 'stored ' .. epoch .. ' ' .. offset .. ' ' .. otherRule
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
 * @returns epoch, top, first, 1 for complete, the time, then offset, ms, frame, session of each entry
 */
const READ = `${ONE}
local first = top + 1
local since, before, limit, readBytes = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local found = {}
local taken, takenBytes, isWhole = 0, 0, true
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
  low, high = since and since + 1 or first, before and before - 1 or top
  if first <= top and first >= low and first <= high then take(first, last[2], last[3], last[4]) end
  low = first
else
  if trim() then redis.call('HSET', facts, 'bytes', bytes) end
  local head = redis.call('XRANGE', entries, '-', '+', 'COUNT', 1)
  if head[1] then first = partsOf(head[1][1]) end
  low, high = since and since + 1 or first, before and before - 1 or top
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
stay()
local isComplete = isWhole and (low > high or low >= first)
local answer = { epoch, top, first, isComplete and 1 or 0, nowText, otherRule }
for n = 1, #found do answer[n + 6] = found[n] end
return answer
`;

/** @returns epoch, top */
const TOP = `${ONE}
stay()
return { epoch, top, otherRule }
`;

/** ARGV[2] channel. @returns epoch, top */
const CLEAR = `${ONE}
begin()
stay()
redis.call(publish, ARGV[2], 'C ' .. fresh)
return { fresh, 0 }
`;
