import { WebSocket } from 'ws';
import type { Connection } from './connection.js';
import type { Outbox } from './outbox.js';

type SendArguments = [data: Parameters<WebSocket['send']>[0], ...rest: unknown[]];

/**
 * A socket that writes what its outbox has queued before it writes anything itself, so that the order holds whoever sends.
 *
 * It has no JSON form: an application that sends a client's `ws` along by mistake would otherwise publish its inside: the
 * remote address, the request, half a frame.
 */
export class ServerSocket extends WebSocket {
  connection: Connection | undefined;
  outbox: Outbox | undefined;

  override send(...args: SendArguments): void {
    if (this.outbox) this.#makeWay(this.outbox, args);
    super.send(...(args as Parameters<WebSocket['send']>));
  }

  override ping(...args: Parameters<WebSocket['ping']>): void {
    this.outbox?.flush();
    super.ping(...args);
  }

  override pong(...args: Parameters<WebSocket['pong']>): void {
    this.outbox?.flush();
    super.pong(...args);
  }

  override close(...args: Parameters<WebSocket['close']>): void {
    this.outbox?.flush();
    super.close(...args);
  }

  toJSON(): undefined {
    return undefined;
  }

  /** A Blob is read in the background, and a fragment wants more: nothing may come between. */
  #makeWay(outbox: Outbox, [data, options]: SendArguments): void {
    const isPart = typeof options === 'object' && options !== null && (options as { fin?: boolean }).fin === false;
    if (isPart || (data as unknown) instanceof Blob) outbox.leaveToWs();
    else outbox.flush();
  }
}

const amountByWs = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'bufferedAmount')?.get;

// What the outbox has queued counts, too. By hand: the types of ws call it a field, which no getter may override.
Object.defineProperty(ServerSocket.prototype, 'bufferedAmount', {
  get(this: ServerSocket): number {
    return (amountByWs?.call(this) as number) + (this.outbox?.queuedBytes ?? 0);
  },
});
