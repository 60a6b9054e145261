import type { IncomingMessage, Server as HttpServer } from 'node:http';
import type { Duplex } from 'node:stream';
import type { INestApplicationContext } from '@nestjs/common';
import { WsAdapter } from '@nestjs/platform-ws';
import { isOurs } from '../routing/stock-gateway.js';
import { pathOf } from '../admission/upgrade-path.js';
import type { WebSocketServer } from '../server.js';
import { REGISTRATION, type Registration } from './servers-together.js';

/** The port that stands for the application's own HTTP server. */
const APPLICATION_PORT = 0;

interface StockServer {
  path?: string;
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, done: (ws: unknown) => void): void;
  emit(event: string, ...args: unknown[]): boolean;
}

/**
 * For applications with Nest gateways. A `@WebSocketGateway()` without a path, or with this module's path, runs on this
 * module's server: its `@SubscribeMessage('chat/send')` methods have the same connections, frames and rooms. Gateways with
 * other paths stay on Nest's own server, on the same port. Without gateways no adapter is needed.
 * @example app.useWebSocketAdapter(new PxlWsAdapter(app));
 */
export class PxlWsAdapter extends WsAdapter {
  readonly #registrations: Registration[];
  readonly #stockServers: StockServer[] = [];
  #detach: (() => void) | undefined;

  constructor(app: INestApplicationContext) {
    super(app);
    const all: Registration[] = app.get(REGISTRATION, { strict: false, each: true });
    this.#registrations = all.filter(({ server }) => server.options.type === 'server');
    const ownsPath = (path: string): boolean => this.#stockServers.some((server) => server.path === path);
    for (const { server } of this.#registrations) server.shareWith(this.#onUpgrade, ownsPath);
  }

  override create(port: number, options: Record<string, unknown> & { path?: string } = {}): unknown {
    const home = this.#registrations.find(({ name, server }) =>
      isOurs(port, options.path, { server: name, stockPath: server.options.path }),
    );
    if (home) return home.server;
    // oxlint-disable-next-line typescript/no-unsafe-argument -- WsAdapter's own parameter is `any`
    const server = super.create(port, options as never) as StockServer;
    if (port === APPLICATION_PORT) this.#stockServers.push(server);
    return server;
  }

  override bindClientConnect(server: unknown, callback: (...args: unknown[]) => void): void {
    // Our server itself calls the hooks, and awaits them.
    if (!this.#isOneOfOurs(server)) super.bindClientConnect(server, callback);
  }

  override async close(server: unknown): Promise<void> {
    if (!this.#isOneOfOurs(server)) await super.close(server);
  }

  override async dispose(): Promise<void> {
    this.#detach?.();
    await super.dispose();
  }

  /** Nest's own listener destroys the upgrades of all unknown paths, ours too. This one ignores them. */
  protected override ensureHttpServerExists(port: number, httpServer?: HttpServer): HttpServer | undefined {
    if (port !== APPLICATION_PORT || !httpServer) {
      return super.ensureHttpServerExists(port, httpServer);
    }
    if (!this.#detach) {
      httpServer.on('upgrade', this.#onUpgrade);
      this.#detach = () => httpServer.off('upgrade', this.#onUpgrade);
    }
    return httpServer;
  }

  #isOneOfOurs(server: unknown): server is WebSocketServer {
    return this.#registrations.some((registration) => registration.server === server);
  }

  readonly #onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const path = pathOf(request);
    const server = this.#stockServers.find((candidate) => candidate.path === path);
    server?.handleUpgrade(request, socket, head, (ws) => server.emit('connection', ws, request));
  };
}
