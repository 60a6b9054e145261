import type { WebSocket } from 'ws';
import { CloseCode } from '../protocol/close-codes.js';
import type { OutgoingMessage } from './outgoing-message.js';

/** What a message is handed to: the outbox of a socket of this node. */
export interface Recipient {
  readonly clientId: string;
  /** What the client calls itself on all of its connections, where it has said so. */
  readonly session?: string | undefined;
  push(message: OutgoingMessage): void;
  /** All that waits for it. */
  readonly bufferedBytes: number;
  /** Resolves when it has taken what waits, or is gone. */
  whenDrained(): Promise<void>;
  /** It can't take what it must get: closes it. */
  giveUp(): void;
  /** A message that nobody is closed for. @returns whether it was taken: only where nothing waits */
  offer(message: OutgoingMessage): boolean;
}

/** A socket of somebody else doesn't say when it has drained. */
const POLL_MS = 20;

/** A socket that the application registered by hand: it has no outbox. */
export class ForeignSocket implements Recipient {
  constructor(
    readonly clientId: string,
    private readonly ws: WebSocket,
  ) {}

  get bufferedBytes(): number {
    return this.ws.bufferedAmount;
  }

  whenDrained(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, POLL_MS).unref());
  }

  giveUp(): void {
    this.ws.close(CloseCode.SlowConsumer, 'too slow');
  }

  push({ payload }: OutgoingMessage): void {
    if (this.ws.readyState === this.ws.OPEN) this.ws.send(payload, { binary: false });
  }

  offer(message: OutgoingMessage): boolean {
    if (this.ws.bufferedAmount > 0) return false;
    this.push(message);
    return true;
  }
}
