import { scriptOf } from '../cluster/redis-script.js';
import { fenceOf } from '../history/fence.js';

/** How long a room that nobody is in is remembered, in ms. Its readers ask for its version more often. */
const EMPTY_MS = 60_000;

/**
 * The beginning of every script of a room. Begins a new epoch if something may be lost: Redis isn't the one of before, or one
 * of the room's keys is gone.
 *
 * The first write must be one that a Redis without memory refuses. After any other write, it would let the rest pass.
 *
 * KEYS[1] facts of the room · KEYS[2] client id → node, end of its grace or 0, user · KEYS[3] user → connections, age of its
 * data, data · KEYS[4] node → number of its last batch, connections
 * ARGV[1] an epoch to begin, if one begins · [2] ms after which a room is forgotten that no node asks for
 *
 * A user is JSON text without spaces, so that it can stand in these values and in what is announced.
 */
const OPEN = `${fenceOf(true)}
local facts, connections, users, nodes = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local known = redis.call('HMGET', facts, 'epoch', 'version', 'replid', 'connections', 'users', 'bytes', 'lostAt')
local function isWhole()
  return redis.call('HLEN', connections) == tonumber(known[4]) and redis.call('HLEN', users) == tonumber(known[5])
end
if mayHaveLost(known[1], known[3]) or not isWhole() then
  redis.call('HSET', facts, 'epoch', ARGV[1], 'version', 0, 'replid', replid, 'connections', 0, 'users', 0, 'bytes', 0)
  redis.call('HDEL', facts, 'lostAt')
  redis.call('DEL', connections, users, nodes)
  known = { ARGV[1], '0', replid, '0', '0', '0', false }
end
local epoch, version = known[1], tonumber(known[2])
local connectionCount, userCount, userBytes = tonumber(known[4]), tonumber(known[5]), tonumber(known[6])
local lostAt = known[7] and tonumber(known[7])
local function stay()
  for n = 1, 4 do redis.call('PEXPIRE', KEYS[n], connectionCount > 0 and ARGV[2] or ${EMPTY_MS}) end
end
`;

/**
 * ARGV[3] how many users, at most · [4] their bytes, at most
 * @returns epoch, version, the time, how many users, their bytes, then user and its value of each unless they are too many
 */
export const READ_PRESENCE = scriptOf(`${OPEN}
stay()
local isFew = userCount <= tonumber(ARGV[3]) and userBytes <= tonumber(ARGV[4])
return { epoch, version, nowText, userCount, userBytes, isFew and redis.call('HGETALL', users) or false }
`);

/** @returns epoch, version */
export const PRESENCE_TOP = scriptOf(`${OPEN}
stay()
return { epoch, version }
`);

/** Bytes of one announcement. More changes are several, each with a version of its own. */
const MAX_ANNOUNCED = 32_768;

/**
 * Changes the connections of one node in the room, and announces what that changes for users.
 *
 * ARGV[3] channel · [4] PUBLISH or SPUBLISH · [5] node · [6] number of the batch · [7] the epoch that the node knows, or ''
 * · [8] '' or whole, or bury · [9] ms without leaves after a loss · [10] channel of the events · [11] beginning of a message
 * there when a user joined · [12] when one left · [13] its end · then of each change: in, kept or out, client id, user, data
 * or '', age of the data, ms until its grace ends or 0
 * @returns epoch, version, the time, connections of the node
 */
export const CHANGE_PRESENCE = scriptOf(`${OPEN}
local node, number, seen, mode = ARGV[5], tonumber(ARGV[6]), ARGV[7], ARGV[8]
local lastNumber, own = 0, 0
local kept = redis.call('HGET', nodes, node)
if kept then
  local last, count = string.match(kept, '^(%d+) (%d+)$')
  lastNumber, own = tonumber(last), tonumber(count)
end
if mode ~= 'bury' and number <= lastNumber then return { epoch, version, nowText, own } end
if seen ~= '' and seen ~= epoch and not lostAt then
  lostAt = now
  redis.call('HSET', facts, 'lostAt', nowText)
end
local quietUntil = lostAt and lostAt + ARGV[9] or 0
local isQuiet = now < quietUntil
local touched, order = {}, {}
local function userOf(name)
  local user = touched[name]
  if user then return user end
  user = { count = 0, dataAt = 0, data = 'null' }
  local value = redis.call('HGET', users, name)
  if value then
    local count, dataAt, data = string.match(value, '^(%d+) (%d+) (.*)$')
    user.count, user.dataAt, user.data = tonumber(count), tonumber(dataAt), data
  end
  user.countBefore, user.dataBefore = user.count, user.data
  touched[name] = user
  order[#order + 1] = name
  return user
end
local function read(client)
  local value = redis.call('HGET', connections, client)
  if value then return string.match(value, '^(%S+) (%d+) (%S+)$') end
end
-- A user that comes back in the same batch has no data yet.
local function uncount(name)
  local user = userOf(name)
  user.count = user.count - 1
  if user.count == 0 then user.data, user.dataAt = 'null', 0 end
end
local function put(client, name, graceEnd)
  local place = string.format('%s %.0f %s', node, graceEnd, name)
  local formerNode, _, formerName = read(client)
  redis.call('HSET', connections, client, place)
  if formerNode ~= node then own = own + 1 end
  if not formerName then connectionCount = connectionCount + 1 end
  if formerName == name then return end
  if formerName then uncount(formerName) end
  local user = userOf(name)
  user.count = user.count + 1
end
local function remove(client, name)
  redis.call('HDEL', connections, client)
  connectionCount, own = connectionCount - 1, own - 1
  uncount(name)
end
local isListed = {}
for n = 14, #ARGV, 6 do
  local kind, client, name, data = ARGV[n], ARGV[n + 1], ARGV[n + 2], ARGV[n + 3]
  local dataAt, awayMs = tonumber(ARGV[n + 4]), tonumber(ARGV[n + 5])
  if kind ~= 'out' then
    isListed[client] = true
    put(client, name, awayMs > 0 and now + awayMs or 0)
    local user = userOf(name)
    if kind == 'in' then
      user.isNew = true
      if data ~= '' then user.data, user.dataAt = data, math.max(now, user.dataAt) end
    elseif data ~= '' and dataAt > user.dataAt then user.data, user.dataAt = data, dataAt end
  else
    local itsNode, _, itsName = read(client)
    -- Its age says that it was in the room, though nobody knows of it now.
    if isQuiet and (itsNode == node or not itsNode and dataAt > 0) then
      isListed[client] = true
      put(client, itsName or name, quietUntil)
    elseif itsNode == node then remove(client, itsName) end
  end
end
if mode ~= '' then
  local left = 0
  local all = redis.call('HGETALL', connections)
  for n = 1, #all, 2 do
    local client = all[n]
    local itsNode, graceEnd, name = string.match(all[n + 1], '^(%S+) (%d+) (%S+)$')
    if itsNode == node then
      local stays = isListed[client] or (mode == 'bury' and tonumber(graceEnd) > now)
      if not stays and mode ~= 'bury' and isQuiet then
        put(client, name, quietUntil)
        stays = true
      end
      if stays then left = left + 1 else remove(client, name) end
    end
  end
  own = left
end
local parts, bytes = {}, 0
local function announce()
  if #parts == 0 then return end
  version = version + 1
  local size = '{"users":' .. userCount .. ',"bytes":' .. userBytes .. '}'
  local text = 'U ' .. epoch .. ' ' .. version .. ' ' .. nowText .. ' -\\n[' .. size .. ',' .. table.concat(parts, ',') .. ']'
  redis.call(ARGV[4], ARGV[3], text)
  parts, bytes = {}, 0
end
-- Here, and not by the node, because the answer may get lost.
local function raise(beginning, name) redis.call('PUBLISH', ARGV[10], beginning .. name .. ARGV[13]) end
for _, name in ipairs(order) do
  local user = touched[name]
  if user.countBefore > 0 then userBytes = userBytes - #name - #user.dataBefore end
  if user.count > 0 then
    userBytes = userBytes + #name + #user.data
    redis.call('HSET', users, name, string.format('%d %.0f ', user.count, user.dataAt) .. user.data)
    if user.countBefore == 0 then
      userCount = userCount + 1
      -- After a loss others may have been here before.
      if user.isNew or not isQuiet then raise(ARGV[11], name) end
    end
  elseif user.countBefore > 0 then
    redis.call('HDEL', users, name)
    userCount = userCount - 1
    raise(ARGV[12], name)
  end
  if user.count ~= user.countBefore or user.data ~= user.dataBefore then
    local part = '[' .. name .. ',' .. user.count .. ',' .. user.data .. ']'
    parts[#parts + 1], bytes = part, bytes + #part
    if bytes > ${MAX_ANNOUNCED} then announce() end
  end
end
announce()
redis.call('HSET', facts, 'version', version, 'connections', connectionCount, 'users', userCount, 'bytes', userBytes)
if mode ~= 'bury' then redis.call('HSET', nodes, node, number .. ' ' .. own)
elseif own <= 0 then redis.call('HDEL', nodes, node)
else redis.call('HSET', nodes, node, lastNumber .. ' ' .. own) end
stay()
return { epoch, version, nowText, own }
`);

/**
 * Finds out whether rooms are as a node believes. Changes nothing.
 *
 * KEYS the four of each room
 * ARGV[1] node · [2] ms after which a room without nodes is forgotten, or 0: that time goes on · then of each room: the epoch
 * and the connections of the node, as it believes
 * @returns the numbers of the rooms that differ, from 1, and the nodes in all of them
 */
export const CHECK_PRESENCE = scriptOf(`${fenceOf(true)}
local different, nodeIds, isNamed = {}, {}, {}
for at = 1, #KEYS / 4 do
  local key = 4 * at - 3
  local known = redis.call('HMGET', KEYS[key], 'epoch', 'replid', 'connections', 'users')
  local all = redis.call('HGETALL', KEYS[key + 3])
  local own
  for n = 1, #all, 2 do
    if all[n] == ARGV[1] then own = string.match(all[n + 1], ' (%d+)$')
    elseif not isNamed[all[n]] then
      isNamed[all[n]] = true
      nodeIds[#nodeIds + 1] = all[n]
    end
  end
  if known[1] ~= ARGV[2 * at + 1] or mayHaveLost(known[1], known[2]) or own ~= ARGV[2 * at + 2]
    or redis.call('HLEN', KEYS[key + 1]) ~= tonumber(known[3]) or redis.call('HLEN', KEYS[key + 2]) ~= tonumber(known[4])
  then different[#different + 1] = at end
  if ARGV[2] ~= '0' then for n = key, key + 3 do redis.call('PEXPIRE', KEYS[n], ARGV[2]) end end
end
return { different, nodeIds }
`);
