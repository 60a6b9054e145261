import type { WebSocket } from 'ws';
import type { WebSocketUser } from '../protocol/message.js';

// Types of the public API in a file of their own, so that their declarations need no other package's types.

/** A client, by its socket on this node or by its id on any node. */
export interface ClientReference {
  /** The socket of a client of this node. */
  ws?: WebSocket;
  /** The id of a client of any node. */
  clientId?: string;
}

/** A client of any node, as `fetchClients()` finds it in Redis. */
export interface RemoteClient {
  clientId: string;
  /** Milliseconds since the epoch, as its node wrote it last. */
  lastActivity: number;
  /** Null for an anonymous client. */
  user: WebSocketUser | null;
  /** Every room that the client is in. */
  rooms: string[];
  /** What `updateClient()` and `joinRoom()` stored. */
  metadata: Record<string, unknown>;
}
