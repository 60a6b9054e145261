import type { WebSocketUser } from '../protocol/message.js';

/** What every node knows of a client, as it lies in Redis and crosses the bus. */
export interface ClientRecord {
  clientId: string;
  user: WebSocketUser | null;
  metadata: Record<string, unknown>;
  rooms: string[];
  lastActivity: number;
}
