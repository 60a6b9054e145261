import type { WebSocket } from 'ws';
import type { Clock } from '../clock.js';
import { CloseCode } from '../protocol/close-codes.js';
import type { OutgoingMessage } from './outgoing-message.js';

/** Takes messages for one client of this node. Usually the outbox of its socket. */
export interface Recipient {
  readonly clientId: string;
  /** The session of the client, which is the same on all of its connections. Undefined if it has sent none. */
  readonly session?: string | undefined;
  push(message: OutgoingMessage): void;
  /** All bytes that wait for the client. */
  readonly bufferedBytes: number;
  /** Resolves when the client has taken all that waits, or when it is gone. */
  whenDrained(): Promise<void>;
  /** Closes a client that can't take a message that it must get. */
  giveUp(): void;
  /** Takes a message only if nothing waits. It never closes a slow client. @returns whether it was taken */
  offer(message: OutgoingMessage): boolean;
}

/** A foreign socket doesn't tell when it has drained, so it is checked after this time, in ms. */
const POLL_MS = 20;

/** A socket that the application registered by hand: it has no outbox. */
export class ForeignSocket implements Recipient {
  constructor(
    readonly clientId: string,
    private readonly ws: WebSocket,
    private readonly clock: Pick<Clock, 'after'>,
  ) {}

  get bufferedBytes(): number {
    return this.ws.bufferedAmount;
  }

  whenDrained(): Promise<void> {
    return new Promise((resolve) => void this.clock.after(POLL_MS, () => resolve()));
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
