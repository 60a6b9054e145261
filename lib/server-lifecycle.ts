import type { Server as HttpServer } from 'node:http';
import { Logger } from '@nestjs/common';
import { WebSocketServer as WS } from 'ws';
import type { Entrance } from './admission/entrance.js';
import type { IdleSockets } from './admission/idle-sockets.js';
import type { Application } from './application.js';
import type { Clock } from './clock.js';
import { chooseProtocol } from './auth/tokens.js';
import type { Connections } from './connection/connections.js';
import type { Heartbeat } from './connection/heartbeat.js';
import { guardReceivers } from './connection/receiver-guard.js';
import { ServerSocket } from './connection/server-socket.js';
import { InvalidStateError } from './errors.js';
import type { ErrorReport } from './observe/error-report.js';
import type { ResolvedOptions } from './options/resolve-options.js';
import type { ServerNode } from './server-node.js';

/**
 * An option of ws 8.23 that is missing in its types. It closes a client that leaves this many pongs unread. Its default, 60,
 * is below our own limits, whose close codes have a reason.
 */
const MORE_OF_WS = { maxPendingAutoPongs: 1_000 };

export interface LifecycleParts {
  readonly options: Pick<ResolvedOptions, 'messages' | 'events' | 'drain'>;
  readonly application: Application;
  readonly entrance: Entrance;
  readonly node: ServerNode;
  readonly connections: Connections;
  readonly heartbeat: Heartbeat;
  /** What serves connections, and ends with the last of them. */
  readonly services: readonly { stop(): void }[];
  readonly report: ErrorReport;
  readonly clock: Pick<Clock, 'now'>;
}

/** The parts that run between `start()` and `stop()`. */
interface Running {
  readonly wss: WS;
  /** Settles when the server listens, or failed to. */
  readonly listening: Promise<IdleSockets>;
}

/** Starts a server on an HTTP server and stops it, any number of times. */
export class ServerLifecycle {
  readonly #logger = new Logger('WebSocketServer');
  #running: Running | undefined;
  #stopping: Promise<void> | undefined;

  constructor(private readonly parts: LifecycleParts) {}

  get isRunning(): boolean {
    return this.#running !== undefined && !this.isStopping;
  }

  get isStopping(): boolean {
    return this.#stopping !== undefined;
  }

  async start(given: HttpServer | undefined): Promise<{ server: WS }> {
    const { application, entrance } = this.parts;
    if (!application.isLoaded)
      throw new InvalidStateError('start() was called before load(). Call "await server.load()" first.');
    if (this.#stopping) await this.#stopping;
    if (this.#running) {
      await this.#running.listening;
      return { server: this.#running.wss };
    }
    if (application.isIncomplete)
      throw new InvalidStateError(
        'start() was called before load() had finished, or after it failed. Fix the error of load() first.',
      );
    const httpServer = given ?? application.httpServer;
    if (!httpServer)
      throw new InvalidStateError(
        'There is no HTTP server to listen on. Call start({ fastifyServer }) or start({ httpServer }).',
      );
    entrance.listener.check(httpServer);
    const wss = this.#webSocketServer();
    const listening = this.#listen(wss, httpServer);
    this.#running = { wss, listening };
    await listening.catch((error: unknown) => {
      this.#running = undefined;
      throw error;
    });
    return { server: wss };
  }

  async stop(endsApplication: boolean): Promise<void> {
    const running = this.#running;
    if (!running) return;
    this.#stopping ??= this.#shutDown(running).finally(() => {
      this.#running = undefined;
      this.#stopping = undefined;
    });
    await this.#stopping;
    const idle = await running.listening.catch(() => undefined);
    if (endsApplication) idle?.destroy();
    else idle?.release();
  }

  #webSocketServer(): WS {
    const { messages } = this.parts.options;
    const wss = new WS({
      noServer: true,
      WebSocket: ServerSocket,
      maxPayload: messages.maxPayload,
      perMessageDeflate: this.#compression(),
      handleProtocols: chooseProtocol,
      maxFragments: messages.maxFragments,
      maxBufferedChunks: messages.maxBufferedChunks,
      ...MORE_OF_WS,
    });
    wss.on('error', (error) => this.parts.report.failed(error, 'the WebSocket server'));
    return wss;
  }

  #compression(): ResolvedOptions['messages']['perMessageDeflate'] {
    const { perMessageDeflate } = this.parts.options.messages;
    if (perMessageDeflate === false || guardReceivers()) return perMessageDeflate;
    this.#logger.warn(
      'Messages are not compressed: this version of ws may not survive a client that sends broken frames.',
    );
    return false;
  }

  async #listen(wss: WS, httpServer: HttpServer): Promise<IdleSockets> {
    const { options, application, entrance, node, heartbeat, report } = this.parts;
    await node.start();
    const idle = entrance.open(httpServer, wss, application.authentication, application.guards);
    heartbeat.start();
    report.contain('events.onServerStarted', () => options.events.onServerStarted?.({ webSocketServer: wss }));
    return idle;
  }

  async #shutDown({ wss, listening }: Running): Promise<void> {
    const { options, entrance, node, connections, heartbeat, services, report, clock } = this.parts;
    await node.abandonStart();
    await Promise.allSettled([listening]); // otherwise, what it creates later would never be closed
    entrance.close();
    heartbeat.stop();
    await node.leave();
    const drainBy = clock.now() + options.drain.terminateAfterMs;
    await connections.drain();
    await node.finish(drainBy - clock.now());
    entrance.listener.detach();
    for (const service of services) service.stop();
    report.flush();
    wss.close();
    await node.stop();
  }
}
