import type { WebSocket } from 'ws';
import type { Sender } from '../routing/sender.js';

/** What the calls need of their connection. */
export interface CallsOwner {
  readonly ws: WebSocket;
  readonly clientId: string;
  readonly client: unknown;
  readonly sender: Sender;
  readonly waitingBytes: number;
  /** Its hooks have finished: its messages may be handled. */
  readonly isReady: boolean;
  /** There is room for messages again. */
  readOn(): void;
}
