import { InvalidOptionsError } from '../errors.js';
import { errorOf } from '../protocol/thrown.js';
import { ReportsLeftOutError } from './client-errors.js';
import { ReportBudget } from './report-budget.js';
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
   * After every successful connect, before any message of that connection and once each room was tried again; earlier when
   * that takes longer than `connectTimeoutMs`, or when more than `maxHeldBytes` of messages wait for it.
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
   * A room that could not be joined again after a reconnect, because the server refuses it for good; it is forgotten. Without
   * a listener the error goes to `onError`.
   */
  onRoomLost?(params: { roomName: string; error: Error }): unknown;
  /**
   * Whatever no caller could be told: bad frames, error frames without an id, failed attempts in the background,
   * failed re-joins, handlers and callbacks that threw. Without it they are written to the console. Of one kind at most
   * `maxErrorReports` in 10 s; the others are counted, and reported as one `ReportsLeftOutError`.
   */
  onError?(params: { error: Error }): unknown;
}

/** The names that `client.on(event, listener)` takes. */
const CALLBACKS = {
  connected: 'onConnected',
  disconnected: 'onDisconnected',
  message: 'onMessage',
  reconnecting: 'onReconnecting',
  state: 'onStateChanged',
  roomLost: 'onRoomLost',
  error: 'onError',
} as const;

export const CALLBACK_NAMES: readonly CallbackName[] = Object.values(CALLBACKS);

type Callbacks<S extends SocketLike> = Required<WebSocketClientEvents<S>>;
type CallbackName = keyof WebSocketClientEvents;
type Params<S extends SocketLike, K extends CallbackName> = Parameters<Callbacks<S>[K]>[0];
type Callback = (params: unknown) => unknown;

/** An event of the client itself: `'state'` is the one of `events.onStateChanged`, and so on. */
export type ClientEventName = keyof typeof CALLBACKS;
/** Listens to an event of the client itself. */
export type ClientEventListener<S extends SocketLike, N extends ClientEventName> = Callbacks<S>[(typeof CALLBACKS)[N]];

/** Calls the application's callbacks, and keeps what they throw from reaching the client. */
export class EventSink<S extends SocketLike> {
  readonly #events: WebSocketClientEvents<S>;
  readonly #listeners = new Map<CallbackName, readonly { listener: Callback }[]>();
  readonly #budget: ReportBudget;

  constructor(events: WebSocketClientEvents<S>, maxErrorReports: number) {
    this.#events = events;
    this.#budget = new ReportBudget(maxErrorReports, (kind, count) =>
      this.#report(new ReportsLeftOutError(kind, count)),
    );
  }

  /** @returns a function that takes this one registration back. @throws {InvalidOptionsError} for no event of ours */
  add<N extends ClientEventName>(name: N, listener: ClientEventListener<S, N>): () => void {
    if (!Object.keys(CALLBACKS).includes(name)) {
      throw new InvalidOptionsError([`"${name}" is no event. There are ${Object.keys(CALLBACKS).join(', ')}.`]);
    }
    const key = CALLBACKS[name];
    const entry = { listener: listener as Callback };
    this.#listeners.set(key, [...(this.#listeners.get(key) ?? []), entry]);
    return () =>
      this.#listeners.set(
        key,
        (this.#listeners.get(key) ?? []).filter((other) => other !== entry),
      );
  }

  /** @returns false when nobody listens */
  emit<K extends CallbackName>(name: K, params: Params<S, K>): boolean {
    const callbacks = this.#callbacksOf(name);
    for (const callback of callbacks) void call(callback, params).catch((error: unknown) => this.report(error));
    return callbacks.length > 0;
  }

  report(thrown: unknown): void {
    const error = errorOf(thrown);
    if (this.#budget.take(error.name)) this.#report(error);
  }

  /** Reports how many errors were left out so far. */
  flush(): void {
    this.#budget.flush();
  }

  #report(reported: Error): void {
    const callbacks = this.#callbacksOf('onError');
    if (callbacks.length === 0) lastResort(reported);
    for (const callback of callbacks) void call(callback, { error: reported }).catch(lastResort);
  }

  #callbacksOf(name: CallbackName): Callback[] {
    const first = this.#events[name] as Callback | undefined;
    const others = (this.#listeners.get(name) ?? []).map(({ listener }) => listener);
    return first ? [(params) => first.call(this.#events, params), ...others] : others;
  }
}

/** Async for its catch: the callback itself is called at once. */
async function call(callback: Callback, params: unknown): Promise<void> {
  await callback(params);
}

/** Nobody listens, or the listener itself is broken: an error that leaves no trace would be worse than a line too many. */
function lastResort(error: unknown): void {
  console.error('[WebSocketClient]', errorOf(error));
}
