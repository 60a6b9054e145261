import { scriptOf } from '../cluster/redis-script.js';
import { fenceOf } from '../history/fence.js';

/**
 * Lua that declares `put`: writes what is known of the key. A Redis without memory refuses SET, but lets the rest of a script
 * pass after PEXPIRE, which it never refuses. So it takes what is no longer than what it replaces.
 * @returns declares a function that returns an error of Redis, or nil
 */
const PUT = `
local function put(text, ...)
  if known and #text <= #known then redis.call('PEXPIRE', KEYS[1], 1, 'GT') end -- changes nothing
  local answer = redis.pcall('SET', KEYS[1], text, ...)
  return answer.err and answer
end
`;

/**
 * What is known already is answered without memory, too. Who gets the key needs some: the first write for that must be one that a
 * Redis without memory refuses, or it couldn't keep the reply.
 *
 * KEYS[1] what is known of the key: its state (R runs, K kept, D doubt), the token of who has it, and the end of its lease
 * or the reply · KEYS[2] facts of the shard: the replication id of its Redis, and since when it has lost nothing · KEYS[3] how
 * many keys its owner has
 * ARGV[1] token · [2] ms that the key is known once it ended · [3] ms of the lease · [4] 1: handle again what is in doubt · [5] ms since the
 * message was sent for the first time, or '' · [6] keys of an owner, at most · [7] ms that the facts are kept · [8] ms that the
 * key is known while it runs
 * @returns its state, and the reply, the ms that are left, or for how many ms nothing was lost
 */
export const CLAIM = scriptOf(`${fenceOf(true)}
local known = redis.call('GET', KEYS[1])
${PUT}local state, token, rest
if known then state, token, rest = string.match(known, '^(%a) (%S+) (.*)$') end
if state == 'K' then return { 'kept', rest } end
if state == 'R' and token ~= ARGV[1] and tonumber(rest) > now then return { 'running', tonumber(rest) - now } end
if state and token ~= ARGV[1] and ARGV[4] ~= '1' then
  return state == 'R' and put('D ' .. token .. ' ', 'KEEPTTL') or { 'doubt' }
end
${sinceOf('KEYS[2]', 'ARGV[7]')}
if not state then
  local agoMs = ARGV[4] ~= '1' and tonumber(ARGV[5])
  if agoMs and (agoMs >= tonumber(ARGV[2]) or now - agoMs < since) then return { 'doubt' } end
  if tonumber(redis.call('GET', KEYS[3]) or 0) >= tonumber(ARGV[6]) then return { 'full' } end
  if redis.call('INCR', KEYS[3]) == 1 then redis.call('PEXPIRE', KEYS[3], ARGV[2]) end
end
redis.call('SET', KEYS[1], 'R ' .. ARGV[1] .. ' ' .. string.format('%.0f', now + ARGV[3]), 'PX', ARGV[8])
redis.call('PEXPIRE', KEYS[2], ARGV[7])
return { 'mine', now - since }
`);

/** Notes that this Redis has lost nothing from now on, unless that was noted before. KEYS[1] as KEYS[2] above · ARGV[1] as ARGV[7] */
export const WATCH = scriptOf(`${fenceOf(true)}${sinceOf('KEYS[1]', 'ARGV[1]')}
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return since
`);

/**
 * What Redis has no memory for keeps its lease: who asks meanwhile waits.
 *
 * KEYS as above · ARGV[1] running, kept, free or doubt · [2] token · [3] ms that the key is known · [4] ms of the lease · [5] reply
 * @returns 1 if the token has the key
 */
export const END = scriptOf(`
local known = redis.call('GET', KEYS[1])
-- If Redis has lost it, who handled it says it again.
if known and string.match(known, '^%a (%S+) ') ~= ARGV[2] then return 0 end
${PUT}
local function renew()
  local time = redis.call('TIME')
  local leaseEnd = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[4]
  local text = 'R ' .. ARGV[2] .. ' ' .. string.format('%.0f', leaseEnd)
  if known then return put(text, 'KEEPTTL') end
  return put(text, 'PX', ARGV[3])
end
local refusal
if ARGV[1] == 'running' then refusal = renew()
elseif ARGV[1] == 'free' then
  if known and string.sub(known, 1, 1) == 'D' then return 1 end -- somebody was told so
  redis.call('DEL', KEYS[1])
  if known and redis.call('EXISTS', KEYS[3]) == 1 then redis.call('DECR', KEYS[3]) end
elseif ARGV[1] == 'kept' then
  refusal = put('K ' .. ARGV[2] .. ' ' .. ARGV[5], 'PX', ARGV[3])
  if refusal and known then renew() end
else refusal = put('D ' .. ARGV[2] .. ' ', 'PX', ARGV[3]) end
return refusal or 1
`);

/** Lua that declares `since`: Redis has had all keys of the shard since then. */
function sinceOf(key: string, keepMs: string): string {
  return `
local facts = redis.call('HMGET', ${key}, 'since', 'replid')
local since = tonumber(facts[1] or now)
if mayHaveLost(facts[1], facts[2]) then
  since = now
  redis.call('HSET', ${key}, 'since', nowText, 'replid', replid)
  redis.call('PEXPIRE', ${key}, ${keepMs})
end
`;
}
