import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { wallMs } from '../clock.js';
import { Expiry } from '../auth/expiry.js';
import type { Identity } from '../auth/identity.js';
import type { ConnectedClient } from '../decorators/connected-client.js';
import { guarded } from '../guarded.js';
import { CloseCode, fitReason, usualReason } from '../protocol/close-codes.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import type { WebSocketRoomManager } from '../clients/room-manager.js';
import { describeError } from '../routing/describe-error.js';
import type { GatewayHooks } from '../routing/route.explorer.js';
import type { UpgradeRequest } from '../auth/upgrade-request.js';
import type { JoinRoom } from '../options/websocket-events.js';
import type { WebSocketClientManager } from '../clients/client-manager.js';
import { cutAfterGrace, isHeardAfter } from './closing.js';
import { Connection, type ConnectionHost } from './connection.js';
import type { LocalDelivery } from '../outbound/local-delivery.js';
import type { Flusher } from '../outbound/flusher.js';
import { greetingOf } from './greeting.js';
import type { Heartbeat } from './heartbeat.js';
import { Outbox } from '../outbound/outbox.js';
import { QueueBudget } from './queue-budget.js';
import type { RegisteredClient } from '../clients/registered-client.js';
import type { ServerSocket } from './server-socket.js';
import { onSocket } from './socket-listeners.js';
import { TimeoutQueue } from './timeout-queue.js';

/** Milliseconds between two groups of closes while draining. */
const DRAIN_STEP_MS = 50;

/** How a client left: the third argument of `handleDisconnect(ws, reason, disconnection)`. */
export interface Disconnection {
  clientId: string;
  client: ConnectedClient;
  /** The rooms it was in. */
  rooms: string[];
  code: number;
  reason: string;
}

export interface ConnectionsHost extends Omit<ConnectionHost, 'disconnect' | 'queued'> {
  readonly options: Pick<ResolvedOptions, 'events' | 'heartbeat' | 'drain' | 'limits' | 'messages'>;
  readonly clients: WebSocketClientManager;
  readonly rooms: WebSocketRoomManager;
  readonly flusher: Flusher;
  readonly hooks: readonly GatewayHooks[];
  readonly heartbeat: Heartbeat;
  readonly local: LocalDelivery;
  /** The public client list may have changed. */
  listChanged(event?: string): void;
  joinRoom(params: Parameters<JoinRoom>[0] & { ws: WebSocket }): Promise<boolean>;
  newClientId(): string;
  /** The cluster may know of the client. Resolves when messages for its user arrive here. */
  connected(client: RegisteredClient): Promise<void>;
  /** The cluster must forget the client. */
  disconnected(client: RegisteredClient): void;
}

/** The sockets of this node, from their acceptance to the hooks that hear of their end. */
export class Connections {
  readonly open = new Set<Connection>();
  /** Every socket that is not closed yet, those included whose client is forgotten already. */
  readonly #sockets = new Set<WebSocket>();
  readonly #authenticated = new WeakSet<ConnectedClient>();
  /** Ends of connections whose hooks are still running. */
  readonly #leaving = new Set<Promise<void>>();
  readonly #expiry: Expiry<RegisteredClient>;
  readonly #connectionHost: ConnectionHost;
  readonly #onMessage;
  readonly #onPing;
  readonly #onPong;
  readonly #onClose;
  readonly #queued: QueueBudget;
  /** Those that have to say something within a time. */
  readonly #silent: TimeoutQueue<Connection> | undefined;

  constructor(private readonly host: ConnectionsHost) {
    const { limits, heartbeat, options, failed } = host;
    this.#queued = new QueueBudget(
      options.messages.processMaxQueuedBytes,
      guarded('messages that wait', failed, () => this.#closeFullest()),
    );
    this.#connectionHost = {
      ...host,
      queued: this.#queued,
      disconnect: (client, code, reason) => this.disconnect(client, code, reason),
    };
    const broke = (connection: Connection, error: unknown): void => {
      failed(error, 'a socket');
      connection.ws.terminate();
    };
    this.#onMessage = onSocket<Buffer, boolean>(
      (connection, data, isBinary) => connection.receive(data, isBinary),
      broke,
    );
    this.#onPing = onSocket<Buffer>((connection, payload) => {
      if (!connection.dropLeftover(payload)) limits.countControl(connection, payload);
    }, broke);
    this.#onPong = onSocket<Buffer>((connection, payload) => {
      if (connection.dropLeftover(payload)) return;
      heartbeat.pongReceived(connection, payload);
      if (!connection.takePong(payload)) limits.countControl(connection, payload);
    }, broke);
    this.#onClose = onSocket<number, Buffer>((connection, code, reason) => {
      this.#sockets.delete(connection.ws);
      this.#end(connection, code, reason.toString());
    }, broke);
    this.#expiry = new Expiry(
      guarded('the expiry of a token', failed, (client: RegisteredClient) =>
        this.disconnect(client, CloseCode.TokenExpired, 'token expired'),
      ),
    );
    if (options.limits.firstMessageTimeoutMs)
      this.#silent = new TimeoutQueue(
        options.limits.firstMessageTimeoutMs,
        guarded('the first message', failed, (connection: Connection) => {
          if (!connection.hasSpoken) this.disconnect(connection.client, CloseCode.Policy, 'no message in time');
        }),
      );
  }

  get(ws: WebSocket): Connection | undefined {
    return (ws as ServerSocket).connection;
  }

  /** True for a client whose handshake said who it is. */
  isAuthenticated(client: ConnectedClient): boolean {
    return this.#authenticated.has(client);
  }

  accept(ws: ServerSocket, socket: Duplex, request: UpgradeRequest, identity: Identity | null): Connection {
    ws.on('error', onError); // before all else: unheard, a broken frame would end the process
    const user = identity?.user ?? null;
    const clientId = this.host.newClientId();
    const outbox = (ws.outbox = new Outbox(clientId, ws, socket, this.host.flusher));
    const client = this.host.clients.addClient({
      clientId,
      ws,
      lastActivity: wallMs(),
      user,
      ip: request.ip,
      params: request.params,
    });
    if (user) this.#authenticated.add(client);
    this.#expiry.set(client, identity?.expiresAt);
    const connection = (ws.connection = new Connection(ws, client, outbox, this.#connectionHost));
    this.open.add(connection);
    this.#sockets.add(ws);
    this.host.heartbeat.watch(connection);
    this.#silent?.add(connection);
    ws.on('message', this.#onMessage as (data: unknown, isBinary: boolean) => void);
    ws.on('ping', this.#onPing).on('pong', this.#onPong).on('close', this.#onClose);
    connection.opened = this.#welcome(connection, request);
    outbox.flush(); // with the answer to the upgrade
    return connection;
  }

  /** A connected client proved anew who it is. */
  refreshed(client: RegisteredClient, { user, expiresAt }: Identity): void {
    if (!client.ws || !this.open.has(this.get(client.ws) as Connection)) return; // it left meanwhile
    this.#expiry.set(client, expiresAt);
    this.host.clients.setUser({ clientId: client.clientId, user });
  }

  /** Closes a socket and forgets its client at once, however long the peer takes to answer. */
  disconnect(client: RegisteredClient, code: number, given: string): void {
    const reason = fitReason(given || (usualReason(code) ?? ''));
    const ws = client.ws;
    const connection = ws ? this.get(ws) : undefined;
    // One that is closing already, too: a peer that says goodbye and never reads would keep what waits for it.
    if (ws && ws.readyState !== ws.CLOSED) {
      ws.close(code, reason);
      cutAfterGrace(ws);
      if (!isHeardAfter(code)) ws.pause();
      else if (connection?.isPaused) ws.resume(); // its answer to the close frame would never be read
    }
    if (connection) this.#end(connection, code, reason);
    else this.host.disconnected(client);
  }

  /** Closes every socket with 1012, spread out; resolves when all are gone and their hooks have run, or at the limit. */
  async drain(): Promise<void> {
    const { spreadMs, terminateAfterMs } = this.host.options.drain;
    const sockets = [...this.#sockets];
    const steps = Math.max(1, Math.floor(spreadMs / DRAIN_STEP_MS));
    const perStep = Math.max(1, Math.ceil(sockets.length / steps));
    const limit = abortAfter(terminateAfterMs);
    try {
      for (let start = 0; start < sockets.length && !limit.isOver; start += perStep) {
        for (const ws of sockets.slice(start, start + perStep)) {
          ws.close(CloseCode.Restarting, 'server restarting');
          ws.resume();
        }
        if (start + perStep < sockets.length) await Promise.race([pause(DRAIN_STEP_MS), limit.over]);
      }
      await Promise.race([Promise.all(sockets.map(closed)), limit.over]);
      for (const ws of sockets) ws.terminate();
      for (const connection of this.open) this.#end(connection, CloseCode.Restarting, 'server restarting');
      await Promise.race([Promise.all(this.#leaving), limit.over]);
    } finally {
      this.#queued.stop();
      limit.cancel();
    }
  }

  /** Tells the new client its id, then runs the hooks; its messages wait until they have finished. */
  async #welcome(connection: Connection, request: UpgradeRequest): Promise<void> {
    const { ws, clientId, client } = connection;
    const { events } = this.host.options;
    try {
      connection.send(greetingOf(client, this.host.options));
      await this.host.connected(client);
      const joinRoom: JoinRoom = (params) => this.host.joinRoom({ ws, ...params });
      await events.onConnected?.({ ws, clientId, request, params: client.params, joinRoom });
      for (const hook of this.host.hooks) await hook.handleConnection?.(ws, request);
      this.#admit(connection);
    } catch (error) {
      const { isMeantForPeer, error: sentence, code } = describeError(error);
      if (!isMeantForPeer) this.host.failed(error, 'a connection hook');
      this.disconnect(client, CLOSE_CODE_OF.get(code) ?? CloseCode.Internal, sentence);
    }
  }

  /** From here on it is one of those that broadcasts are for. */
  #admit(connection: Connection): void {
    if (!this.open.has(connection)) return; // it left while its hooks were running
    this.host.local.admit(connection.clientId);
    this.host.listChanged('connected');
    connection.ready();
  }

  /** Too much waits in all of them together: those with the most go. */
  #closeFullest(): void {
    const fullestFirst = [...this.open].toSorted((a, b) => b.waitingBytes - a.waitingBytes);
    for (const { client } of fullestFirst) {
      if (!this.#queued.isOver) return;
      this.disconnect(client, CloseCode.OverCapacity, 'too much waits to be handled');
    }
  }

  #end(connection: Connection, code: number, reason: string): void {
    if (!this.open.delete(connection)) return;
    this.host.heartbeat.forget(connection);
    this.#silent?.delete(connection);
    const { client, clientId } = connection;
    const rooms = client.rooms;
    this.#expiry.delete(client);
    connection.end();
    this.host.disconnected(client);
    const leaving = this.#farewell(connection, { clientId, client, rooms, code, reason });
    this.#leaving.add(leaving);
    void leaving.finally(() => this.#leaving.delete(leaving));
  }

  /** Hooks hear of the end after those of the beginning have finished. Never rejects. */
  async #farewell(connection: Connection, disconnection: Disconnection): Promise<void> {
    await connection.opened;
    const { clientId, code, reason } = disconnection;
    for (const { handleDisconnect, place } of this.host.hooks) {
      try {
        await handleDisconnect?.(connection.ws, reason, disconnection);
      } catch (error) {
        this.host.failed(error, `${place}.handleDisconnect`);
      }
    }
    try {
      await this.host.options.events.onDisconnected?.({ clientId, code, reason });
    } catch (error) {
      this.host.failed(error, 'events.onDisconnected');
    }
  }
}

/** A peer's broken frame: ws has sent the close code that says so. It would go on reading what it throws away. */
function onError(this: WebSocket): void {
  (this as ServerSocket).connection?.failQuestions(); // nothing more is read, so no answer can come
  cutAfterGrace(this);
  process.nextTick(() => this.pause()); // ws resumes it in this turn
}

/** What a hook that refuses a connection by throwing tells the client to do. */
const CLOSE_CODE_OF: ReadonlyMap<string, number> = new Map([
  [ErrorCode.Unauthenticated, CloseCode.Unauthenticated],
  [ErrorCode.Forbidden, CloseCode.Forbidden],
  [ErrorCode.RateLimited, CloseCode.RateLimited],
  [ErrorCode.Unavailable, CloseCode.TryLater],
  [ErrorCode.BadRequest, CloseCode.Policy],
]);

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms).unref());

const closed = (ws: WebSocket): Promise<void> =>
  ws.readyState === ws.CLOSED ? Promise.resolve() : new Promise((resolve) => ws.once('close', () => resolve()));

function abortAfter(ms: number): { over: Promise<void>; readonly isOver: boolean; cancel: () => void } {
  let isOver = false;
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      isOver = true;
      resolve();
    }, ms);
  });
  return {
    over,
    get isOver() {
      return isOver;
    },
    cancel: () => clearTimeout(timer),
  };
}
