import type { WebSocket } from 'ws';
import type { WebSocketUser } from '../protocol/message.js';

// Types of the public API in a file of their own, so that their declarations need no other package's types.

/** A client, by its socket on this node or by its id on any node. */
export interface ClientReference {
  ws?: WebSocket;
  clientId?: string;
}

/** A client of any node, as `fetchClients()` finds it in Redis. */
export interface RemoteClient {
  clientId: string;
  lastActivity: number;
  user: WebSocketUser | null;
  rooms: string[];
  /** What `updateClient()` and `joinRoom()` stored. */
  metadata: Record<string, unknown>;
}
