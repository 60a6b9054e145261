import type { WebSocket } from 'ws';
import type { Caller } from '../routing/caller.js';

/** What the calls need of their connection. */
export interface CallsOwner {
  readonly ws: WebSocket;
  readonly clientId: string;
  readonly client: unknown;
  readonly caller: Caller;
  readonly waitingBytes: number;
  /** The connection's hooks have finished, so its messages may be handled. */
  readonly isReady: boolean;
  /** Reads from the socket again, because there is room for messages. */
  readOn(): void;
}
