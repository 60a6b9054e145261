import { InvalidOptionsError } from '../errors.js';
import { errorOf } from '../protocol/thrown.js';
import { ReportsLeftOutError } from './client-errors.js';
import { call, Listeners } from './listeners.js';
import { ReportBudget } from './report-budget.js';
import type { JoinRoomDetails, RoomReset } from './client-room.js';
import type { SocketLike } from './socket-like.js';

/**
 * `idle` before the first `connectToServer()`; `connecting` during the first attempt; `open` while messages can be sent;
 * `reconnecting` from a lost connection until it is back; `closed` when the client doesn't try any more.
 */
export type ClientState = 'idle' | 'connecting' | 'open' | 'reconnecting' | 'closed';

/** Events of the client. Callbacks are not awaited. An error of a callback goes to `onError`. */
export interface WebSocketClientEvents<S extends SocketLike = SocketLike> {
  /**
   * Called after every connect, before any message of that connection, when every room was tried once. It is called earlier if
   * that takes longer than `connectTimeoutMs` or if more than `maxHeldBytes` of messages wait.
   * This `joinRoom` reports a refusal to `onError`; await `client.joinRoom()` to get the answer.
   */
  onConnected?(params: {
    ws: S;
    clientId: string;
    joinRoom: (params: { roomName: string } & JoinRoomDetails) => void;
  }): unknown;
  /** Called once for each `onConnected`. The code 1006 means that the connection broke without a close frame. */
  onDisconnected?(params: { clientId?: string; code: number; reason: string; willReconnect: boolean }): unknown;
  /** Called for every message and request of the server, with or without a handler for its route. */
  onMessage?(params: { ws: S; clientId: string; data: { type: string; action: string; data: unknown } }): unknown;
  /** Called before each wait. `attempt` counts from 1. */
  onReconnecting?(params: { attempt: number; delayMs: number }): unknown;
  /** Called after every change of `client.state`. */
  onStateChanged?(params: { state: ClientState }): unknown;
  /**
   * The server refused for good to let the client join a room again. The room is forgotten. Without a listener the error goes
   * to `onError`.
   */
  onRoomLost?(params: { roomName: string; error: Error }): unknown;
  /**
   * A room with history was joined with a place that the server knew: after a reconnect, or one that the application gave. What
   * was missed follows; `missed` may be 0.
   */
  onRecovered?(params: { roomName: string; missed: number }): unknown;
  /**
   * Messages of a room with history can't be sent: those after the place of a join, or those of a time when this client was in it. Load the room's
   * data again, at a random time within `withinMs`.
   */
  onReset?(params: RoomReset): unknown;
  /**
   * Errors that no caller could receive: bad frames, error frames without an id, failed attempts in the background, failed
   * re-joins, handlers and callbacks that threw. Without a listener they are written to the console. Of one kind at most
   * `maxErrorReports` in 10 s are reported; the others are counted and reported as one `ReportsLeftOutError`.
   */
  onError?(params: { error: Error }): unknown;
}

/** The names that `client.on(event, listener)` takes. */
export const EVENTS = [
  'connected',
  'disconnected',
  'message',
  'reconnecting',
  'state',
  'roomLost',
  'recovered',
  'reset',
  'error',
] as const;

type Callbacks<S extends SocketLike> = Required<WebSocketClientEvents<S>>;
type CallbackOf<N extends ClientEventName> = N extends 'state' ? 'onStateChanged' : `on${Capitalize<N>}`;
type Params<S extends SocketLike, N extends ClientEventName> = Parameters<ClientEventListener<S, N>>[0];
type Callback = (params: unknown) => unknown;

/** An event of the client itself. `'state'` stands for `events.onStateChanged`, and so on. */
export type ClientEventName = (typeof EVENTS)[number];
/** Listens to an event of the client itself. */
export type ClientEventListener<S extends SocketLike, N extends ClientEventName> = Callbacks<S>[CallbackOf<N>];

export const callbackOf = (name: ClientEventName): keyof WebSocketClientEvents =>
  `on${name === 'state' ? 'StateChanged' : (name.replace(/^./, (letter) => letter.toUpperCase()) as 'Connected')}`;

/** Calls the application's callbacks and catches their errors. */
export class EventSink<S extends SocketLike> {
  readonly #events: WebSocketClientEvents<S>;
  readonly #listeners = new Listeners<Callback>();
  readonly #budget: ReportBudget;

  constructor(events: WebSocketClientEvents<S>, maxErrorReports: number) {
    this.#events = events;
    this.#budget = new ReportBudget(maxErrorReports, (kind, count) =>
      this.#report(new ReportsLeftOutError(kind, count)),
    );
  }

  /** @returns a function that removes this listener. @throws {InvalidOptionsError} for an unknown event */
  add<N extends ClientEventName>(name: N, listener: ClientEventListener<S, N>): () => void {
    if (!EVENTS.includes(name))
      throw new InvalidOptionsError([`"${name}" is not an event. There are ${EVENTS.join(', ')}.`]);
    return this.#listeners.add(name, listener as Callback);
  }

  /** @returns false when nobody listens */
  emit<N extends ClientEventName>(name: N, params: Params<S, N>): boolean {
    const callbacks = this.#callbacksOf(name);
    for (const callback of callbacks) call(() => callback(params)).catch((error: unknown) => this.report(error));
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
    const callbacks = this.#callbacksOf('error');
    if (callbacks.length === 0) lastResort(reported);
    for (const callback of callbacks) call(() => callback({ error: reported })).catch(lastResort);
  }

  #callbacksOf(name: ClientEventName): Callback[] {
    const first = this.#events[callbackOf(name)] as Callback | undefined;
    const others = this.#listeners.of(name);
    return first ? [(params) => first.call(this.#events, params), ...others] : others;
  }
}

/** Nobody listens, or the listener itself failed. The error must leave a trace. */
function lastResort(error: unknown): void {
  console.error('[WebSocketClient]', errorOf(error));
}
