import type { ClientRequest, IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import type { ClientOptions } from 'ws';
import { InvalidOptionsError } from '../errors.js';
import { WebSocketClientCore } from './client-core.js';
import { HandshakeRefusedError } from './client-errors.js';
import { valueOf } from './client-options.js';
import type { ConnectTarget, Source, WebSocketClientOptions } from './client-options.js';

export interface NodeWebSocketClientOptions extends WebSocketClientOptions<WebSocket> {
  /** HTTP headers of the handshake; a function is asked before every attempt, e.g. for a fresh token. @default none */
  headers?: Source<Record<string, string>>;
  /** The longest message taken from the server, in bytes; a longer one closes the connection. @default 1_048_576 */
  maxPayload?: number;
}

/** How long a closing handshake may take before the socket is destroyed, in ms. */
const CLOSE_TIMEOUT_MS = 1_000;
/** A refusal's body is `{ code, error }`; more than this is no refusal of ours. */
const MAX_REFUSAL_BYTES = 4_096;

/**
 * The client for Node, on the `ws` package.
 * @example
 * const client = new WebSocketClient({ url: 'ws://127.0.0.1:3000/ws' });
 * await client.connectToServer();
 * const answer = await client.request('chat', 'history', { roomName: 'lobby' });
 */
export class WebSocketClient extends WebSocketClientCore<WebSocket> {
  readonly #headers: Source<Record<string, string>>;
  readonly #maxPayload: number;
  readonly #refusals = new WeakMap<WebSocket, HandshakeRefusedError>();

  constructor(options: NodeWebSocketClientOptions) {
    super(options);
    const { headers = {}, maxPayload = 1_048_576 } = options;
    if (!Number.isSafeInteger(maxPayload) || maxPayload < 1) {
      throw new InvalidOptionsError([
        'maxPayload is not a whole number of bytes of at least 1. Leave it out for 1 MiB.',
      ]);
    }
    this.#headers = headers;
    this.#maxPayload = maxPayload;
  }

  protected override get optionsOfKind(): readonly string[] {
    return ['headers', 'maxPayload'] satisfies (keyof NodeWebSocketClientOptions)[];
  }

  protected override async findTarget(): Promise<ConnectTarget> {
    const [target, headers] = await Promise.all([super.findTarget(), valueOf(this.#headers)]);
    const { token } = target;
    return { ...target, headers: { ...(token && { authorization: `Bearer ${token}` }), ...headers } };
  }

  protected override createSocket({ url, protocols, headers }: ConnectTarget): WebSocket {
    // `closeTimeout` came with ws 8.19; its types don't know it yet.
    const options: ClientOptions & { closeTimeout: number } = {
      headers,
      maxPayload: this.#maxPayload,
      handshakeTimeout: this.options.connectTimeoutMs,
      perMessageDeflate: false,
      closeTimeout: CLOSE_TIMEOUT_MS,
    };
    const socket = new WebSocket(url, protocols, options);
    // The link stops listening when it ends, but a late error without any listener would end the process.
    socket.on('error', () => undefined);
    socket.on('unexpected-response', (request, response) => this.#noteRefusal(socket, request, response));
    return socket;
  }

  protected override refusalOf(socket: WebSocket): HandshakeRefusedError | undefined {
    return this.#refusals.get(socket);
  }

  /** `ws` leaves the socket to whoever listens to this event: it has to be ended here. */
  #noteRefusal(socket: WebSocket, request: ClientRequest, response: IncomingMessage): void {
    const status = response.statusCode ?? 0;
    this.#refusals.set(socket, new HandshakeRefusedError(status));
    let body = '';
    const finish = (): void => {
      this.#refusals.set(socket, new HandshakeRefusedError(status, refusalCode(body)));
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

function refusalCode(body: string): string | undefined {
  try {
    const { code } = JSON.parse(body) as { code?: unknown };
    return typeof code === 'string' && /^[A-Z_]{1,64}$/.test(code) ? code : undefined;
  } catch {
    // A proxy's page, not our server's JSON: the status alone has to do.
    return undefined;
  }
}
