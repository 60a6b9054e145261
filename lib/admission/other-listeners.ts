import type { Server as HttpServer } from 'node:http';
import { Logger } from '@nestjs/common';

type Listener = (...args: never[]) => unknown;

interface Kind {
  /** A text in the source of its listener. Nothing else tells whose it is. */
  readonly mark: RegExp;
  readonly fact: string;
  readonly remedy: string;
}

/** Known listeners that close the sockets of all paths that they don't know. */
const HARMFUL: readonly Kind[] = [
  {
    mark: /\.handleUpgrade\(\w+, \w+, \w+, emitConnection\)/,
    fact: 'A WebSocketServer of ws with "server" answers 400 to every path but its own',
    remedy:
      'Create it with { noServer: true }, and pass it the upgrades of its own path (docs: "Other servers on the port")',
  },
  {
    mark: /\bisRequestDelegated\b/,
    fact: "Nest's WsAdapter closes the sockets of every path but those of its gateways",
    remedy: 'Use app.useWebSocketAdapter(new PxlWsAdapter(app)) instead',
  },
  {
    mark: /\bfastify\.routing\(/,
    fact: '@fastify/websocket answers 404 to every path but those of its routes',
    remedy: 'Give it an HTTP server of its own (options: { server }), or make its routes @WsRoute() methods',
  },
];

/** Warns of other upgrade listeners on the same HTTP server that break our connections. */
export class OtherListeners {
  readonly #logger = new Logger('WebSocketServer');
  readonly #told = new Set<string>();
  #httpServer: HttpServer | undefined;

  constructor(private readonly path: string) {}

  /** Warns of those that are there now, and of later ones. */
  attach(httpServer: HttpServer): void {
    this.#httpServer = httpServer;
    for (const listener of httpServer.listeners('upgrade')) this.#look(listener as Listener);
    httpServer.on('newListener', this.#onNewListener);
  }

  detach(): void {
    this.#httpServer?.off('newListener', this.#onNewListener);
    this.#httpServer = undefined;
  }

  /** Another listener answered or closed a socket of our path. */
  interfered(): void {
    this.#tellOnce(
      `Another listener for upgrades on this HTTP server took a connection to "${this.path}". If it isn't meant to, it must ` +
        'leave the sockets of other paths alone (docs: "Other servers on the port").',
    );
  }

  readonly #onNewListener = (event: string | symbol, listener: Listener): void => {
    if (event === 'upgrade') this.#look(listener);
  };

  #look(listener: Listener): void {
    const source = Function.prototype.toString.call(listener);
    const kind = HARMFUL.find(({ mark }) => mark.test(source));
    if (kind) this.#tellOnce(`${kind.fact}, so connections to "${this.path}" break. ${kind.remedy}.`);
  }

  #tellOnce(line: string): void {
    if (this.#told.has(line)) return;
    this.#told.add(line);
    this.#logger.warn(line);
  }
}
