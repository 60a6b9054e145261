import type { Server as HttpServer } from 'node:http';
import { Logger } from '@nestjs/common';
import { WebSocketServer as WS } from 'ws';
import { type EntranceParts, openEntrance } from './admission/entrance.js';
import type { FirstMessages } from './admission/first-messages.js';
import { IdleSockets } from './admission/idle-sockets.js';
import type { UpgradeListener } from './admission/upgrade-listener.js';
import type { Application } from './application.js';
import { chooseProtocol } from './auth/tokens.js';
import type { ClientList } from './clients/client-list.js';
import type { Clients } from './clients/clients.js';
import type { Cluster } from './cluster/cluster.js';
import type { ClusterReceiver } from './cluster/cluster-receiver.js';
import { PEOPLE, PRESENCE } from './cluster/presence-events.js';
import type { Subscribers } from './cluster/subscribers.js';
import type { Heartbeat } from './connection/heartbeat.js';
import { guardReceivers } from './connection/receiver-guard.js';
import { ServerSocket } from './connection/server-socket.js';
import type { TimeoutQueue } from './connection/timeout-queue.js';
import { InvalidStateError } from './errors.js';
import type { Logs } from './history/compose-logs.js';
import type { History } from './history/history.js';
import type { ErrorReport } from './observe/error-report.js';
import type { ResolvedOptions } from './options/resolve-options.js';
import type { Flusher } from './outbound/flusher.js';
import { WebSocketRedisSubscriberEvent as Event } from './protocol/events.js';
import type { People } from './presence/compose-presence.js';
import type { RouteCall } from './routing/route-call.js';

/**
 * An option of ws 8.23, missing in its types. It closes a client that leaves this many pongs unread. Its default, 60,
 * is below our own limits, whose close codes give a reason.
 */
const MORE_OF_WS = { maxPendingAutoPongs: 1_000 };

export interface LifecycleParts {
  readonly options: ResolvedOptions;
  readonly application: Application;
  readonly listener: UpgradeListener;
  readonly entrance: EntranceParts;
  readonly cluster: Cluster;
  readonly receiver: ClusterReceiver;
  readonly subscribers: Subscribers;
  readonly clients: Clients;
  readonly list: ClientList | undefined;
  readonly heartbeat: Heartbeat;
  readonly timeouts: TimeoutQueue<RouteCall>;
  readonly flusher: Flusher;
  readonly logs: Logs | undefined;
  readonly history: History | undefined;
  readonly people: People | undefined;
  readonly report: ErrorReport;
}

/** What runs between `start()` and `stop()`. */
interface Running {
  readonly wss: WS;
  readonly firstMessages: FirstMessages;
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
    const { application, listener, entrance } = this.parts;
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
    listener.check(httpServer);
    const wss = this.#webSocketServer();
    const { gate, firstMessages } = openEntrance(wss, entrance, application.authentication, application.guards);
    const listening = this.#listen(wss, httpServer, (idle) => listener.attach(httpServer, gate, idle));
    this.#running = { wss, firstMessages, listening };
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

  async #listen(wss: WS, httpServer: HttpServer, attach: (idle: IdleSockets) => void): Promise<IdleSockets> {
    const { options, cluster, receiver, heartbeat, report, logs, history, people } = this.parts;
    await cluster.start(receiver, this.#wantedEvents());
    await logs?.start();
    history?.start();
    await people?.start();
    const idle = new IdleSockets(httpServer);
    attach(idle);
    heartbeat.start();
    report.contain('events.onServerStarted', () => options.events.onServerStarted?.({ webSocketServer: wss }));
    return idle;
  }

  /**
   * Without other nodes, or without a copy of them, presence events are only received if a subscriber asks for them.
   */
  #wantedEvents(): string[] {
    const { options, subscribers } = this.parts;
    const events = Object.values(Event);
    const needsPresence = (options.redis && options.registry === 'replicated') || subscribers.wantsAll;
    const own = events.filter(
      (event) => (needsPresence || !PRESENCE.has(event)) && (subscribers.wantsAll || !PEOPLE.has(event)),
    );
    return [...new Set([...own, ...subscribers.channels])];
  }

  async #shutDown({ wss, firstMessages, listening }: Running): Promise<void> {
    const { options, cluster, listener, heartbeat, entrance, list, timeouts, flusher, report, clients, logs, people } =
      this.parts;
    // It may wait for a Redis that never comes.
    if (options.redis && cluster.state === 'starting') await cluster.stop();
    await Promise.allSettled([listening]); // otherwise, what it creates later would never be closed
    listener.close();
    firstMessages.stop();
    heartbeat.stop();
    await cluster.leave();
    await entrance.connections.drain();
    listener.detach();
    list?.stop();
    timeouts.stop();
    flusher.stop();
    report.flush();
    wss.close();
    await people?.stop();
    await logs?.stop();
    await cluster.stop();
    clients.clear();
    clients.rooms.clear();
  }
}
