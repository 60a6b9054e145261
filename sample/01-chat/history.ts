import type { HistoryRuleOptions } from '@scpxl/nestjs-websocket';

/**
 * Every room keeps its newest messages for a while: whoever loses the connection gets what was missed. Older messages are in the
 * database.
 */
export const history: HistoryRuleOptions[] = [{ match: '*', size: 200, ttlMs: 600_000 }];
