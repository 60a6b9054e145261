import { WebSocket } from 'ws';
import { usualReason } from '../protocol/close-codes.js';
import { type FilterAwareSocket, isOverheard } from '../routing/overheard.js';
import type { ConnectedClient } from '../decorators/connected-client.js';
import type { Connection } from './connection.js';
import type { Outbox, SentCallback } from '../outbound/outbox.js';

type SendOptions = { fin?: boolean | undefined } | SentCallback | null;
type SendArguments = [data: Parameters<WebSocket['send']>[0], options?: SendOptions, callback?: SentCallback];

/**
 * A socket that writes what its outbox has queued before it writes anything itself, so that the order holds whoever sends.
 *
 * It has no JSON form: an application that sends a client's `ws` along by mistake would otherwise publish its inside: the
 * remote address, the request, half a frame.
 */
export class ServerSocket extends WebSocket implements FilterAwareSocket {
  connection: Connection | undefined;
  outbox: Outbox | undefined;
  /** Of the queue that closes it when its first message takes too long. */
  deadline = 0;
  earlier: ServerSocket | undefined;
  later: ServerSocket | undefined;
  exceptionListeners: FilterAwareSocket['exceptionListeners'];

  override send(...args: SendArguments): void {
    if (this.exceptionListeners && isOverheard(this.exceptionListeners, args[0])) return;
    const { outbox } = this;
    if (!outbox) return super.send(...(args as Parameters<WebSocket['send']>));
    const [data, options, callback] = args;
    this.#makeWay(data, options);
    if (typeof options === 'function') super.send(data, {}, outbox.whenSent(options));
    else super.send(data, options ?? {}, outbox.whenSent(callback));
    outbox.sentByWs();
  }

  override ping(...args: Parameters<WebSocket['ping']>): void {
    this.#makeWay(args[0]);
    super.ping(...args);
  }

  override pong(...args: Parameters<WebSocket['pong']>): void {
    this.#makeWay(args[0]);
    super.pong(...args);
  }

  /** `ws` itself closes by way of this method, too, and gives no reason when a message breaks a rule or a limit. */
  override close(code?: number, reason?: string | Buffer): void {
    this.outbox?.flush();
    super.close(code, reason === undefined || reason === '' ? usualReason(code) : reason);
  }

  toJSON(): undefined {
    return undefined;
  }

  /**
   * A Blob is read in the background, and a fragment wants more: only `ws` knows what may follow when. It takes whatever is
   * sent between two fragments for a part of their message: whoever sends some must send them all in one go.
   */
  #makeWay(data: unknown, options?: SendOptions): void {
    if (data instanceof Blob || (typeof options === 'object' && options?.fin === false)) this.outbox?.leaveToWs();
    else this.outbox?.flush();
  }
}

/** True for a client of this node whose handshake said who it is. */
export const isAuthenticated = ({ ws }: ConnectedClient): boolean =>
  (ws as ServerSocket | null)?.connection?.isAuthenticated === true;

const amountByWs = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'bufferedAmount')?.get;

// What the outbox has queued counts, too. By hand: the types of ws call it a field, which no getter may override.
Object.defineProperty(ServerSocket.prototype, 'bufferedAmount', {
  get(this: ServerSocket): number {
    return (amountByWs?.call(this) as number) + (this.outbox?.queuedBytes ?? 0);
  },
});
