import type { WebSocketUser } from '../protocol/message.js';

/** What every node knows about a client, in Redis and on the bus. */
export interface ClientRecord {
  clientId: string;
  user: WebSocketUser | null;
  metadata: Record<string, unknown>;
  rooms: string[];
  lastActivity: number;
}

/** How many fields this record has in its node's hash. */
export function fieldCount({ rooms, metadata }: ClientRecord): number {
  let count = 1 + rooms.length;
  for (const _ in metadata) count++;
  return count;
}

export function countOf(records: Iterable<ClientRecord>): number {
  let count = 0;
  for (const record of records) count += fieldCount(record);
  return count;
}
