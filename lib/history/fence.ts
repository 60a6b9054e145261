/**
 * Lua that finds out whether Redis may have lost something: a restart, a failover and a promotion change its replication
 * id. INFO is read in each script, which costs 7 µs: a cached id gave false answers after a partition that left connections
 * open. Where INFO isn't allowed, what Redis has is taken for whole.
 *
 * ARGV[1] 1: fence
 * Declares `now` (ms), `nowText`, `replid` and `mayHaveLost(epoch, replid of the epoch)`.
 */
export const FENCE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local nowText = string.format('%.0f', now)
local replid = ''
if ARGV[1] == '1' then
  local info = redis.pcall('INFO', 'replication')
  if type(info) == 'string' then replid = string.match(info, 'master_replid:(%w+)') or '' end
end
local function mayHaveLost(epoch, knownReplid) return not epoch or (replid ~= '' and knownReplid ~= replid) end
`;
