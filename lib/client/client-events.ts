import { InvalidOptionsError } from '../errors.js';
import { errorOf } from '../protocol/thrown.js';
import { ReportsLeftOutError } from './client-errors.js';
import { callAll, Listeners } from './listeners.js';
import { Stopwatch } from './stopwatch.js';
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

/** Milliseconds after which the counts of reports start again. */
const WINDOW_MS = 10_000;

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
  `on${name === 'state' ? 'StateChanged' : ((name.charAt(0).toUpperCase() + name.slice(1)) as 'Connected')}`;

/** Calls the application's callbacks and catches their errors. */
export class EventSink<S extends SocketLike> {
  readonly #events: WebSocketClientEvents<S>;
  readonly #listeners = new Listeners<Callback>();
  readonly #maxReports: number;
  /** Errors by name, since the window began. */
  readonly #counts = new Map<string, number>();
  #window = new Stopwatch();

  /** @param maxErrorReports of one kind in a window, so that a server can't fill the log of its clients */
  constructor(events: WebSocketClientEvents<S>, maxErrorReports: number) {
    this.#events = events;
    this.#maxReports = maxErrorReports;
  }

  /** @returns a function that removes this listener. @throws {InvalidOptionsError} for an unknown event */
  add<N extends ClientEventName>(name: N, listener: ClientEventListener<S, N>): () => void {
    if (!EVENTS.includes(name)) throw new InvalidOptionsError([`"${name}" is not an event.`]);
    return this.#listeners.add(name, listener as Callback);
  }

  /** @returns false when nobody listens */
  emit<N extends ClientEventName>(name: N, params: Params<S, N>): boolean {
    return callAll(this.#callbacksOf(name), this.report, params);
  }

  /** May be passed on as a function. */
  readonly report = (thrown: unknown): void => {
    const error = errorOf(thrown);
    if (this.#window.ms >= WINDOW_MS) {
      this.flush();
      this.#counts.clear();
      this.#window = new Stopwatch();
    }
    const count = (this.#counts.get(error.name) ?? 0) + 1;
    this.#counts.set(error.name, count);
    if (count <= this.#maxReports) this.#report(error);
  };

  /** Reports how many errors were left out so far. */
  flush(): void {
    for (const [kind, count] of this.#counts) {
      if (count <= this.#maxReports) continue;
      this.#counts.set(kind, this.#maxReports);
      this.#report(new ReportsLeftOutError(kind, count - this.#maxReports));
    }
  }

  #report(error: Error): void {
    if (!callAll(this.#callbacksOf('error'), lastResort, { error })) lastResort(error);
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
