import { FENCE } from './fence.js';

/**
 * The beginning of every script. Creates the room's log if there is none. Begins a new epoch if messages may be lost.
 *
 * The first write must be one that a Redis without memory refuses. After any other write, it would let the rest pass.
 *
 * KEYS[1] facts of the log · KEYS[2] its entries, with ids `<offset>-<ms>`
 * ARGV[1] 1: fence · [2] an epoch to begin, if one begins · [3] ms after which a quiet log is forgotten · [4] log or last
 * · [5] entries, [6] ms, [7] bytes that are kept · [8] the room's rule, as this process has it
 */
const OPEN = `${FENCE}
local facts, entries = KEYS[1], KEYS[2]
local mode, size, ttl, maxBytes = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local known = redis.call('HMGET', facts, 'epoch', 'top', 'replid', 'bytes', 'rule')
local function begin()
  redis.call('HSET', facts, 'epoch', ARGV[2], 'top', 0, 'replid', replid, 'bytes', 0, 'rule', ARGV[8])
  redis.call('HDEL', facts, 'offset', 'at', 'frame', 'session', 'version')
  redis.call('DEL', entries)
  known = { ARGV[2], '0', replid, '0', ARGV[8] }
end
if mayHaveLost(known[1], known[3]) then begin() end
local otherRule = ''
if known[5] ~= ARGV[8] then
  otherRule = known[5] or ''
  redis.call('HSET', facts, 'rule', ARGV[8])
end
local function stay() redis.call('PEXPIRE', facts, ARGV[3]) end
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

/**
 * KEYS[3] where a key is given: the place it was stored at
 * ARGV[9] frame · [10] session or '-' · [11] ms that the key is known · [12] digest of what is published with the key
 * · [13] version or '' · [14] channel · [15] PUBLISH or SPUBLISH
 * @returns stored, known (the key), older (the version) or reused (the key, for something else); epoch, offset
 */
export const APPEND = `${OPEN}
if KEYS[3] then
  local earlier = redis.call('GET', KEYS[3])
  if earlier then
    local keyEpoch, offset, digest = string.match(earlier, '^(%S+) (%d+) (%S+)$')
    if keyEpoch == epoch then
      stay() -- a write: whoever waits for a replica waits for all of before
      if digest ~= ARGV[12] then return { 'reused', epoch, tonumber(offset) } end
      return { 'known', epoch, tonumber(offset) }
    end
  end
end
if ARGV[13] ~= '' then
  local last = redis.call('HMGET', facts, 'version', 'offset')
  if last[1] and tonumber(ARGV[13]) <= tonumber(last[1]) then return { 'older', epoch, tonumber(last[2]) } end
end
local offset = top + 1
if mode == 'last' then
  redis.call('HSET', facts, 'top', offset, 'offset', offset, 'at', nowText, 'frame', ARGV[9], 'session', ARGV[10])
  if ARGV[13] == '' then redis.call('HDEL', facts, 'version') else redis.call('HSET', facts, 'version', ARGV[13]) end
else
  local id = offset .. '-' .. nowText
  if ARGV[10] == '-' then redis.call('XADD', entries, id, 'f', ARGV[9])
  else redis.call('XADD', entries, id, 'f', ARGV[9], 's', ARGV[10]) end
  bytes = bytes + #ARGV[9] + (ARGV[10] ~= '-' and #ARGV[10] or 0)
  trim()
  redis.call('HSET', facts, 'top', offset, 'bytes', bytes)
  redis.call('PEXPIRE', entries, ARGV[6])
end
if KEYS[3] then redis.call('SET', KEYS[3], epoch .. ' ' .. offset .. ' ' .. ARGV[12], 'PX', ARGV[11]) end
stay()
redis.call(ARGV[15], ARGV[14], 'P ' .. epoch .. ' ' .. offset .. ' ' .. nowText .. ' ' .. ARGV[10] .. '\\n' .. ARGV[9])
return { 'stored', epoch, offset, otherRule }
`;

/**
 * ARGV[9] entries after this offset, or '' · [10] entries before it, or '' · [11] at most so many · [12] bytes · [13] 1: newest first
 * @returns epoch, top, first, 1 for complete, the time, then offset, ms, frame, session of each entry
 */
export const READ = `${OPEN}
local first = top + 1
local since, before, limit, readBytes = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
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
    if ARGV[13] == '1' then part = redis.call('XREVRANGE', entries, to .. '-18446744073709551615', from .. '-0', 'COUNT', 64)
    else part = redis.call('XRANGE', entries, from .. '-0', to .. '-18446744073709551615', 'COUNT', 64) end
    if #part == 0 then break end
    local goesOn = true
    for _, entry in ipairs(part) do
      local offset, ms = partsOf(entry[1])
      goesOn = take(offset, string.format('%.0f', ms), entry[2][2], entry[2][4] or '-')
      if not goesOn then break end
      if ARGV[13] == '1' then to = offset - 1 else from = offset + 1 end
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
export const TOP = `${OPEN}
stay()
return { epoch, top, otherRule }
`;

/** ARGV[9] channel · [10] PUBLISH or SPUBLISH. @returns epoch, top */
export const CLEAR = `${OPEN}
begin()
stay()
redis.call(ARGV[10], ARGV[9], 'C ' .. ARGV[2])
return { ARGV[2], 0 }
`;
