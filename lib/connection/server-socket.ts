import { WebSocket } from 'ws';
import { usualReason } from '../protocol/close-codes.js';
import { type FilterAwareSocket, isOverheard } from '../routing/overheard.js';
import type { ConnectedClient } from '../decorators/connected-client.js';
import type { Connection } from './connection.js';
import type { Outbox, SentCallback } from '../outbound/outbox.js';

type SendOptions = { fin?: boolean | undefined } | SentCallback | null;
type SendArguments = [data: Parameters<WebSocket['send']>[0], options?: SendOptions, callback?: SentCallback];

/**
 * A socket that writes its outbox before it writes anything itself, so that messages keep their order, whoever sends them.
 *
 * It has no JSON form. Otherwise an application that sends a client's `ws` by mistake would publish the remote address, the
 * request and the internal state of the socket.
 */
export class ServerSocket extends WebSocket implements FilterAwareSocket {
  connection: Connection | undefined;
  outbox: Outbox | undefined;
  /** Owned by the queue that waits for its first message. */
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

  /** `ws` itself also calls this method, without a reason, when a message breaks a rule or a limit. */
  override close(code?: number, reason?: string | Buffer): void {
    this.outbox?.flush();
    super.close(code, reason === undefined || reason === '' ? usualReason(code) : reason);
  }

  toJSON(): undefined {
    return undefined;
  }

  /**
   * Blobs and fragments go through `ws`: a Blob is read in the background, and a fragment needs its successors. `ws` takes
   * anything sent between two fragments as part of their message, so all fragments of a message must be sent in one go.
   */
  #makeWay(data: unknown, options?: SendOptions): void {
    if (data instanceof Blob || (typeof options === 'object' && options?.fin === false)) this.outbox?.leaveToWs();
    else this.outbox?.flush();
  }
}

/** True for a client of this node that was authenticated by its handshake. */
export const isAuthenticated = ({ ws }: ConnectedClient): boolean =>
  (ws as ServerSocket | null)?.connection?.isAuthenticated === true;

const amountByWs = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'bufferedAmount')?.get;

// The queued bytes of the outbox count, too. Defined by hand: in the types of ws it is a field, which a getter can't override.
Object.defineProperty(ServerSocket.prototype, 'bufferedAmount', {
  get(this: ServerSocket): number {
    return (amountByWs?.call(this) as number) + (this.outbox?.queuedBytes ?? 0);
  },
});
