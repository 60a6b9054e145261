import type { WebSocketClientEvents } from './client-events.js';
import type { SocketLike } from './socket-like.js';

/** A value, or a function that is called before every attempt, e.g. to refresh a token. */
export type Source<T> = T | (() => T | Promise<T>);

/** Every duration is in milliseconds. */
export interface WebSocketClientOptions<S extends SocketLike = SocketLike> {
  /**
   * Where the server is: `ws://`, `wss://`, or in a browser also a path such as `/ws`, relative to the page (and its
   * `<base href>`). During server-side rendering there is no page: there a path fails at `connectToServer()`. A function is called
   * before every attempt, within `connectTimeoutMs`.
   */
  url: Source<string>;
  /** Subprotocols to offer. @default [] */
  protocols?: Source<string | string[]>;
  /**
   * The token of the user. A function is called before every attempt, so that it can return a fresh one. Node sends it as
   * `Authorization: Bearer`. A browser, which can't send headers, sends the protocol `bearer.<token>` beside your `protocols` (or
   * beside `pxl`). Undefined: nothing is sent. @default none
   */
  token?: Source<string | undefined>;
  /** Milliseconds in which `connectToServer()` resolves or rejects, whatever the server does. @default 10_000 */
  connectTimeoutMs?: number;
  /** Milliseconds that `request()` and `joinRoom()` wait for their reply; with a key twice as long. `leaveRoom()` is said again then. @default 10_000 */
  requestTimeoutMs?: number;
  /**
   * How the client reconnects after a lost connection. False: it doesn't. It never reconnects after close codes 4000–4099, nor after
   * the server's own refusals with 401, 403 and 404. Where a function returns the token, 401 is tried a second time.
   */
  reconnect?: false | ReconnectOptions;
  /** The requests with `retry` that have no answer yet. */
  queue?: QueueOptions;
  /** Join the rooms again after a reconnect. False: a lost connection forgets them. @default true */
  rejoinRooms?: boolean;
  /** Milliseconds between two pings of the client, as browsers can't see protocol pings. False: send none. @default 25_000 */
  pingIntervalMs?: false | number;
  /** Milliseconds to wait for anything from the server after a ping. Then the client reconnects. @default 10_000 */
  pongTimeoutMs?: number;
  /** Values of a `stream()` that may wait to be read. Then it fails. @default 1_024 */
  maxStreamBuffer?: number;
  /**
   * Bytes of JSON that may wait in the client. Messages wait until the rooms are joined again; above the limit the client doesn't
   * wait for the other rooms. Values of each `stream()` wait until they are read; above the limit it fails. @default 1_048_576
   */
  maxHeldBytes?: number;
  /** Bytes that may wait for a slow server. Above it, the connection is closed (4113) and the client reconnects. @default 4_194_304 */
  maxUnsentBytes?: number;
  /** Errors of one kind that are reported within 10 s. The rest is counted and reported as one. @default 100 */
  maxErrorReports?: number;
  /** Callbacks, beside `client.on(event, listener)`. @default {} */
  events?: WebSocketClientEvents<S>;
}

export interface ReconnectOptions {
  /** Milliseconds before the first attempt, at most: a random time from 0 to this. It doubles with each attempt. @default 500 */
  minDelayMs?: number;
  /** Milliseconds between two attempts, at most. The server's `Retry-After` may ask for more (up to 5 min). @default 30_000 */
  maxDelayMs?: number;
  /** Attempts in a row. Then the client gives up. @default Infinity */
  maxAttempts?: number;
  /**
   * Keep trying in the background when the first `connectToServer()` fails. It still rejects. In a page the default is true.
   * @default false
   */
  initial?: boolean;
}

/** Bounds of the requests with `retry` that have no answer yet, whether they wait for a connection or for their answer. */
export interface QueueOptions {
  /** A further request is refused with `QUEUE_FULL`. @default 100 */
  maxMessages?: number;
  /** Bytes of their frames. A request that doesn't fit is refused with `QUEUE_FULL`. @default 262_144 */
  maxBytes?: number;
  /** Milliseconds after which a request that waits for a connection fails with `EXPIRED`. @default 60_000 */
  maxAgeMs?: number;
}

export interface RequestOptions {
  /**
   * Milliseconds to wait for the reply, from when the request was sent. @default `requestTimeoutMs` of the client; with a key
   * twice as long, because the server may have to wait for a node that died
   */
  timeoutMs?: number;
  /**
   * Without a connection the request waits for one, and after a lost connection it is sent again, with the same key. For routes
   * with `idempotent`: any other route may handle it twice. @default false
   */
  retry?: boolean;
  /** Names the request: the same key is handled once. 1–128 characters. @default with `retry` a UUID of version 7 */
  key?: string;
  /** Aborting rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** Where one attempt goes. */
export interface ConnectTarget {
  /** Absolute `ws:` or `wss:` address. */
  url: string;
  protocols: string[];
  token: string | undefined;
  /** Node only: HTTP headers of the handshake. */
  headers?: Record<string, string>;
}

export async function valueOf<T>(source: Source<T>): Promise<T> {
  return typeof source === 'function' ? await (source as () => T | Promise<T>)() : source;
}
