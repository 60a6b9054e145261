import type { WebSocketUser } from '../protocol/message.js';

/** What every node knows about a client, in Redis and on the bus. */
export interface ClientRecord {
  clientId: string;
  user: WebSocketUser | null;
  metadata: Record<string, unknown>;
  rooms: string[];
  lastActivity: number;
}
