import { errorOf } from '../protocol/thrown.js';
import type { JoinRoomDetails } from './room-memory.js';
import type { SocketLike } from './socket-like.js';

/**
 * `idle` before the first `connectToServer()`, `connecting` during the first attempt, `open` while messages pass,
 * `reconnecting` from the loss of a connection until it is back, `closed` when nothing more is tried.
 */
export type ClientState = 'idle' | 'connecting' | 'open' | 'reconnecting' | 'closed';

/**
 * What the application may listen to. A callback that throws or rejects never disturbs the client: the error goes to
 * `onError`. Callbacks are not awaited.
 */
export interface WebSocketClientEvents<S extends SocketLike = SocketLike> {
  /**
   * After every successful connect, once the rooms are joined again and before any message of that connection.
   * `joinRoom` reports a refusal to `onError`; use the client's own `joinRoom()` to wait for the answer.
   */
  onConnected?(params: {
    ws: S;
    clientId: string;
    joinRoom: (params: { roomName: string } & JoinRoomDetails) => void;
  }): unknown;
  /** Once for each `onConnected`. 1006 as `code` means that the connection broke without a word. */
  onDisconnected?(params: { clientId?: string; code: number; reason: string; willReconnect: boolean }): unknown;
  /** Every message and request of the server, whether or not `on()` has a handler for its route. */
  onMessage?(params: { ws: S; clientId: string; data: { type: string; action: string; data: unknown } }): unknown;
  /** Before each wait; `attempt` counts from 1. */
  onReconnecting?(params: { attempt: number; delayMs: number }): unknown;
  onStateChanged?(params: { state: ClientState }): unknown;
  /**
   * Whatever no caller could be told: bad frames, error frames without an id, failed attempts in the background,
   * refused re-joins, handlers and callbacks that threw. Without it they are written to the console.
   */
  onError?(params: { error: Error }): unknown;
}

type Params<S extends SocketLike, K extends keyof WebSocketClientEvents<S>> = Parameters<
  NonNullable<WebSocketClientEvents<S>[K]>
>[0];

/** Calls the application's callbacks, and keeps what they throw from reaching the client. */
export class EventSink<S extends SocketLike> {
  readonly #events: WebSocketClientEvents<S>;

  constructor(events: WebSocketClientEvents<S>) {
    this.#events = events;
  }

  emit<K extends keyof WebSocketClientEvents<S>>(name: K, params: Params<S, K>): void {
    void this.#call(name, params).catch((error: unknown) => this.report(error));
  }

  report(thrown: unknown): void {
    const error = errorOf(thrown);
    if (!this.#events.onError) return lastResort(error);
    void this.#call('onError', { error }).catch(lastResort);
  }

  /** Async for its catch: the callback itself is called at once. */
  async #call<K extends keyof WebSocketClientEvents<S>>(name: K, params: Params<S, K>): Promise<void> {
    const callback = this.#events[name] as ((params: Params<S, K>) => unknown) | undefined;
    await callback?.call(this.#events, params);
  }
}

/** Nobody listens, or the listener itself is broken: an error that leaves no trace would be worse than a line too many. */
function lastResort(error: unknown): void {
  console.error('[WebSocketClient]', errorOf(error));
}
