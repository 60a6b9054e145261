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
  /** Milliseconds that `request()`, `joinRoom()` and `leaveRoom()` wait for their reply. @default 10_000 */
  requestTimeoutMs?: number;
  /**
   * How the client reconnects after a lost connection. False: it doesn't. It never reconnects after close codes 4000–4099, nor after
   * the server's own refusals with 401, 403 and 404. Where a function returns the token, 401 is tried a second time.
   */
  reconnect?: false | ReconnectOptions;
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
  /** Keep trying in the background when the first `connectToServer()` fails. It still rejects. @default false */
  initial?: boolean;
}

export interface RequestOptions {
  /** Milliseconds to wait for the reply. @default `requestTimeoutMs` of the client */
  timeoutMs?: number;
  /** Aborting rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** Where one attempt goes. */
export interface ConnectTarget {
  /** Absolute `ws:` or `wss:` address. */
  url: string;
  protocols: string[];
  token?: string;
  /** Node only: HTTP headers of the handshake. */
  headers?: Record<string, string>;
}

export async function valueOf<T>(source: Source<T>): Promise<T> {
  return typeof source === 'function' ? await (source as () => T | Promise<T>)() : source;
}
