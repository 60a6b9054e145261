import type { Agent, ClientRequest, IncomingMessage } from 'node:http';
import type { ConnectionOptions } from 'node:tls';
import { WebSocket } from 'ws';
import type { ClientOptions } from 'ws';
import type { Attempt } from './attempt.js';
import { InvalidOptionsError } from '../errors.js';
import { WebSocketClientCore } from './client-core.js';
import { HandshakeRefusedError } from './handshake-refused-error.js';
import { valueOf } from './client-options.js';
import type { ConnectTarget, Source, WebSocketClientOptions } from './client-options.js';
import type { Link } from './link.js';
import { type ClientTable, isOf } from './client-option-table.js';
import { optionFlaws } from './option-flaws.js';
import type { After } from '../pending-requests.js';
import { SYSTEM } from '../system.js';

export interface NodeWebSocketClientOptions extends WebSocketClientOptions<WebSocket> {
  /** HTTP headers of the handshake. A function is called before every attempt, e.g. for a fresh token. @default {} */
  headers?: Source<Record<string, string>>;
  /**
   * Bytes of one message of the server. A longer one closes the connection. The default is enough for all messages
   * that a server with default options keeps of a room. @default 2_097_152
   */
  maxPayload?: number;
  /** TLS of a `wss:` connection: `ca`, `cert`, `key`, `rejectUnauthorized`, `servername` and so on, as for `tls.connect()`. @default Node's */
  tls?: ConnectionOptions;
  /** Makes the TCP connections, e.g. through a proxy: an `http.Agent`, or an `https.Agent` for `wss:`. @default none */
  agent?: Agent;
}

type NodeOptions = Omit<NodeWebSocketClientOptions, keyof WebSocketClientOptions>;

export const NODE_OPTIONS = {
  headers: {
    default: {},
    check: {
      holds: (value) => isOf(value, 'object', 'function'),
      must: 'an object of header names and values, or a function',
    },
  },
  maxPayload: {
    default: 2_097_152,
    check: {
      holds: (value) => Number.isSafeInteger(value) && (value as number) >= 1,
      must: 'a whole number of bytes of at least 1. Leave it out for 2 MiB',
    },
  },
  tls: { check: { holds: (value) => isOf(value, 'object'), must: 'an object such as { ca }, as for tls.connect()' } },
  agent: { check: { holds: (value) => isOf(value, 'object'), must: 'an http.Agent' } },
} satisfies ClientTable<NodeOptions>;

/** Milliseconds that a closing handshake may take. Then the socket is destroyed. */
const CLOSE_TIMEOUT_MS = 1_000;
/** The longest `Retry-After` that is followed. */
const MAX_RETRY_AFTER_MS = 300_000;
/** The body of our own refusals is short: `{ code, error }`. */
const MAX_REFUSAL_BYTES = 4_096;

/**
 * The client for Node, on the `ws` package.
 * @example
 * const client = new WebSocketClient({ url: 'ws://127.0.0.1:3000/ws' });
 * await client.connectToServer();
 * const answer = await client.request('chat', 'history', { roomName: 'lobby' });
 */
export class WebSocketClient<Events extends object = object> extends WebSocketClientCore<WebSocket, Events> {
  readonly #headers: Source<Record<string, string>>;
  readonly #maxPayload: number;
  readonly #transport: Pick<ClientOptions, 'agent'> & ConnectionOptions;
  readonly #refusals = new WeakMap<WebSocket, HandshakeRefusedError>();
  /** Of the attempt under way. */
  #socket: WebSocket | undefined;
  #loading: Promise<void> | undefined;
  protected override readonly after: After = (ms, task) => SYSTEM.clock.after(ms, task, true);

  constructor(options: NodeWebSocketClientOptions) {
    const { headers, maxPayload, tls, agent, ...others } = checked(options);
    super(others);
    this.#headers = headers ?? NODE_OPTIONS.headers.default;
    this.#maxPayload = maxPayload ?? NODE_OPTIONS.maxPayload.default;
    this.#transport = { ...tls, ...(agent && { agent }) };
  }

  override load(): Promise<void> {
    this.#loading ??= this.loadHandlers().catch((error: unknown) => {
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  /** Overridden where handlers have to be found before the first connect. */
  protected async loadHandlers(): Promise<void> {}

  /** A token may have expired since it was fetched. Where a function returns it, 401 is tried a second time. */
  protected override async dial(attempt: Attempt): Promise<Link<WebSocket>> {
    await Promise.race([attempt.promise, this.load()]);
    try {
      return await this.#dial(attempt);
    } catch (error) {
      const isOld = error instanceof HandshakeRefusedError && error.status === 401 && error.advice === 'stop';
      if (!isOld || !this.#hasFreshTokens || attempt.reason) throw error;
      return this.#dial(attempt);
    }
  }

  /** @throws {HandshakeRefusedError} where the server gave an answer */
  async #dial(attempt: Attempt): Promise<Link<WebSocket>> {
    this.#socket = undefined;
    try {
      return await super.dial(attempt);
    } catch (error) {
      throw (this.#socket && this.#refusals.get(this.#socket)) ?? error;
    }
  }

  get #hasFreshTokens(): boolean {
    const { url, protocols, token } = this.options;
    return [url, protocols, token, this.#headers].some((source) => typeof source === 'function');
  }

  protected override async findTarget(): Promise<ConnectTarget> {
    const [target, headers] = await Promise.all([super.findTarget(), valueOf(this.#headers)]);
    const { token } = target;
    return { ...target, headers: { ...(token && { authorization: `Bearer ${token}` }), ...headers } };
  }

  protected override createSocket({ url, protocols, headers }: ConnectTarget): WebSocket {
    // `closeTimeout` came with ws 8.19; its types don't know it yet.
    const options: ClientOptions & { closeTimeout: number } = {
      ...(this.#transport as ClientOptions),
      headers,
      maxPayload: this.#maxPayload,
      perMessageDeflate: false,
      closeTimeout: CLOSE_TIMEOUT_MS,
    };
    const socket = (this.#socket = new WebSocket(url, protocols, options));
    // The link stops listening when it ends. A late error without a listener would end the process.
    socket.on('error', () => undefined);
    socket.on('unexpected-response', (request, response) => this.#noteRefusal(socket, request, response));
    return socket;
  }

  /** With a listener for this event, `ws` leaves it to us to end the socket. */
  #noteRefusal(socket: WebSocket, request: ClientRequest, response: IncomingMessage): void {
    const status = response.statusCode ?? 0;
    const retryAfterMs = readRetryAfter(response.headers);
    this.#refusals.set(socket, new HandshakeRefusedError(status, undefined, retryAfterMs));
    let body = '';
    const finish = (): void => {
      this.#refusals.set(socket, new HandshakeRefusedError(status, refusalCode(body), retryAfterMs));
      request.destroy();
      socket.terminate();
    };
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      body += chunk;
      if (body.length > MAX_REFUSAL_BYTES) finish();
    });
    response.once('close', finish);
    response.once('error', finish);
  }
}

/** The warning about the old way to switch pings off is written once per process. */
let hasWarned = false;

/** @throws {InvalidOptionsError} naming every flaw, and what to write instead */
function checked(options: NodeWebSocketClientOptions): NodeWebSocketClientOptions {
  const flaws = optionFlaws(options, NODE_OPTIONS);
  if (flaws.length > 0) throw new InvalidOptionsError(flaws);
  if ((options.pingIntervalMs as number) === 0) {
    if (!hasWarned) console.warn('pingIntervalMs: 0 is deprecated. Write false.');
    hasWarned = true;
  }
  return options;
}

/** The code of `{ code, error }`, which only our own server sends. */
function refusalCode(body: string): string | undefined {
  try {
    const { code, error } = JSON.parse(body) as { code?: unknown; error?: unknown };
    return typeof error === 'string' && typeof code === 'string' && /^[A-Z][A-Z0-9_]{0,63}$/.test(code)
      ? code
      : undefined;
  } catch {
    // A proxy's page, not our server's JSON. Then only the status counts.
    return undefined;
  }
}

/**
 * Seconds, or a date (RFC 9110 section 10.2.3). A date is compared with the answer's own `Date`, so that a wrong clock here
 * doesn't matter.
 */
function readRetryAfter({ 'retry-after': value, date }: IncomingMessage['headers']): number | undefined {
  if (value === undefined) return undefined;
  const now = Date.parse(date ?? '');
  const delayMs = /^\d+$/.test(value)
    ? Number(value) * 1_000
    : Date.parse(value) - (Number.isNaN(now) ? Date.now() : now);
  return Number.isNaN(delayMs) ? undefined : Math.min(Math.max(delayMs, 0), MAX_RETRY_AFTER_MS);
}
