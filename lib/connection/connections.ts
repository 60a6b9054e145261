import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { Clock } from '../clock.js';
import { Expiry } from '../auth/expiry.js';
import type { Identity } from '../auth/identity.js';
import type { UpgradeRequest } from '../auth/upgrade-request.js';
import type { ClientChanges } from '../clients/client-changes.js';
import type { ClientListChanges } from '../clients/client-list.js';
import type { Clients } from '../clients/clients.js';
import type { RegisteredClient } from '../clients/registered-client.js';
import type { Cluster } from '../cluster/cluster.js';
import { Deadline, type Timer } from '../deadline.js';
import { guarded } from '../guarded.js';
import type { MessageLimits } from '../limits/message-limits.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import type { Flusher } from '../outbound/flusher.js';
import type { LocalDelivery } from '../outbound/local-delivery.js';
import { Outbox } from '../outbound/outbox.js';
import { CloseCode, fitReason, LEAVES, usualReason } from '../protocol/close-codes.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { describeError } from '../routing/describe-error.js';
import { Steps } from '../steps.js';
import { closeSocket, cutAfterGrace } from './closing.js';
import type { CallsParts } from './calls.js';
import { Connection, type ConnectionParts } from './connection.js';
import type { ConnectionHooks } from './connection-hooks.js';
import { closeSpread } from './drain.js';
import { Greeting } from './greeting.js';
import type { Heartbeat } from './heartbeat.js';
import { QueueBudget } from './queue-budget.js';
import type { ServerSocket } from './server-socket.js';
import { onSocket } from './socket-listeners.js';
import { TimeoutQueue } from './timeout-queue.js';

export interface ConnectionsParts {
  readonly options: Pick<ResolvedOptions, 'heartbeat' | 'drain' | 'limits' | 'messages' | 'rooms' | 'presence'>;
  readonly calls: Omit<CallsParts, 'queued'>;
  readonly limits: MessageLimits<Connection>;
  readonly clients: Clients;
  readonly changes: Pick<ClientChanges, 'named' | 'dismissed'>;
  readonly cluster: Cluster;
  readonly local: LocalDelivery;
  readonly list: ClientListChanges;
  readonly flusher: Flusher;
  readonly heartbeat: Heartbeat;
  readonly hooks: ConnectionHooks;
  readonly clock: Clock;
  failed(error: unknown, place: string): void;
}

/** The connections of this node: from an accepted socket to the hooks of its end. */
export class Connections {
  readonly open = new Set<Connection>();
  /** Every socket that isn't closed yet, including those whose client is removed already. */
  readonly #sockets = new Set<WebSocket>();
  /** Resolves when all connections have ended whose sockets are closed. */
  #ended: Promise<void> = Promise.resolve();
  /** Ended connections whose hooks still run. */
  readonly #leaving = new Set<Promise<void>>();
  readonly #expiry: Expiry<RegisteredClient>;
  readonly #connectionParts: ConnectionParts;
  readonly #onError: (this: WebSocket) => void;
  readonly #onMessage;
  readonly #onPing;
  readonly #onPong;
  readonly #onClose;
  readonly #greeting: Greeting;
  readonly #queued: QueueBudget;
  /** New connections that have sent nothing yet, with `limits.firstMessageTimeoutMs`. */
  readonly #silent: TimeoutQueue<Connection> | undefined;

  constructor(private readonly parts: ConnectionsParts) {
    const { limits, heartbeat, options, clock, failed } = parts;
    const { messages } = options;
    this.#greeting = new Greeting(options);
    this.#queued = new QueueBudget(
      messages.processMaxQueuedBytes,
      guarded('messages that wait', failed, () => this.#closeFullest()),
    );
    this.#connectionParts = {
      clock,
      messages,
      limits,
      calls: { ...parts.calls, queued: this.#queued },
      close: (connection, code, reason) => this.#close(connection, code, reason),
      named: (client) => parts.changes.named(client),
    };
    this.#onError = cuttingAt(clock);
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
    const endings = new Steps(clock, failed); // a network that breaks ends many in one turn
    this.#onClose = onSocket<number, Buffer>((connection, code, reason) => {
      this.#sockets.delete(connection.ws);
      const ended = endings.inTurn(() => this.#end(connection, code, reason.toString()));
      this.#ended = ended.catch((error: unknown) => broke(connection, error)); // they keep their order
    }, broke);
    this.#expiry = new Expiry(
      clock,
      guarded('the expiry of a token', failed, (client: RegisteredClient) =>
        connectionOf(client)?.close(CloseCode.TokenExpired, 'token expired'),
      ),
    );
    if (options.limits.firstMessageTimeoutMs)
      this.#silent = new TimeoutQueue(
        clock,
        options.limits.firstMessageTimeoutMs,
        guarded('the first message', failed, (connection: Connection) => {
          if (!connection.hasSpoken) connection.close(CloseCode.Policy, 'no message in time');
        }),
      );
  }

  accept(ws: ServerSocket, socket: Duplex, request: UpgradeRequest, identity: Identity | null): Connection {
    ws.on('error', this.#onError); // first: without a listener, a broken frame would end the process
    const { cluster, clock, flusher } = this.parts;
    const user = identity?.user ?? null;
    const clientId = cluster.newClientId();
    const outbox = (ws.outbox = new Outbox(clientId, ws, socket, flusher));
    const client = this.parts.clients.add(
      { clientId, ws, lastActivity: clock.wall(), user, ip: request.ip, params: request.params },
      'here',
    );
    this.#expiry.set(client, identity?.expiresAt);
    const connection = (ws.connection = new Connection(ws, client, user !== null, outbox, this.#connectionParts));
    this.open.add(connection);
    this.#sockets.add(ws);
    this.parts.heartbeat.watch(connection);
    this.#silent?.add(connection);
    ws.on('message', this.#onMessage as (data: unknown, isBinary: boolean) => void);
    ws.on('ping', this.#onPing).on('pong', this.#onPong).on('close', this.#onClose);
    connection.opened = this.#welcome(connection, request);
    outbox.flush(); // in one write with the answer to the upgrade
    return connection;
  }

  /** A connected client has sent a new token. */
  refreshed(client: RegisteredClient, { user, expiresAt }: Identity): void {
    if (!this.open.has(connectionOf(client) as Connection)) return; // it left meanwhile
    this.#expiry.set(client, expiresAt);
    this.parts.clients.identify(client.clientId, user, 'here');
  }

  /**
   * Closes all sockets with 1012, spread over time. Resolves when all are closed and their hooks have finished, or at the
   * limit.
   */
  async drain(): Promise<void> {
    const { spreadMs, terminateAfterMs } = this.parts.options.drain;
    const sockets = [...this.#sockets];
    const limit = new Deadline(this.parts.clock, terminateAfterMs);
    try {
      await closeSpread(sockets, spreadMs, limit, this.parts.clock);
      for (const ws of sockets) ws.terminate();
      await limit.race(this.#ended); // each as its client closed it
      for (const connection of this.open) this.#end(connection, CloseCode.Restarting, 'server restarting');
      await limit.race(Promise.all(this.#leaving));
    } finally {
      this.#queued.stop();
      limit.cancel();
    }
  }

  #close(connection: Connection, code: number, given: string): void {
    const reason = fitReason(given || (usualReason(code) ?? ''));
    closeSocket(connection.ws, this.parts.clock, code, reason, connection.isPaused);
    this.#end(connection, code, reason);
  }

  /** Sends the greeting, then runs the hooks. Messages of the client wait until they have finished. */
  async #welcome(connection: Connection, request: UpgradeRequest): Promise<void> {
    const { client } = connection;
    try {
      connection.sendText(this.#greeting.for(client));
      this.parts.clients.connected(client);
      // Before the hooks: messages to the user while they run must arrive.
      if (client.user) await this.parts.cluster.follow({ kind: 'user', name: String(client.user.userId) });
      await this.parts.hooks.opened(connection, request);
      this.#admit(connection);
    } catch (error) {
      const { isMeantForPeer, error: sentence, code } = describeError(error);
      if (!isMeantForPeer) this.parts.failed(error, 'a connection hook');
      connection.close(CLOSE_CODE_OF.get(code) ?? CloseCode.Internal, sentence);
    }
  }

  /** From now on the client gets broadcasts. */
  #admit(connection: Connection): void {
    if (!this.open.has(connection)) return; // it left while its hooks were running
    this.parts.local.admit(connection.clientId);
    this.parts.list.changed('connected');
    connection.ready();
  }

  /** Too many bytes wait in the process: closes the connections with the most waiting bytes. */
  #closeFullest(): void {
    const fullestFirst = [...this.open].toSorted((a, b) => b.waitingBytes - a.waitingBytes);
    for (const connection of fullestFirst) {
      if (!this.#queued.isOver) return;
      connection.close(CloseCode.OverCapacity, 'too much waits to be handled');
    }
  }

  #end(connection: Connection, code: number, reason: string): void {
    if (!this.open.delete(connection)) return;
    this.parts.heartbeat.forget(connection);
    this.#silent?.delete(connection);
    const { client, clientId } = connection;
    const rooms = client.rooms;
    this.#expiry.delete(client);
    connection.end();
    if (code === CloseCode.Normal && reason === LEAVES) this.parts.changes.dismissed(client);
    if (this.parts.clients.table.get(clientId) === client) this.parts.clients.remove(clientId, 'here');
    const leaving = this.parts.hooks.closed(connection, { clientId, client, rooms, code, reason });
    this.#leaving.add(leaving);
    void leaving.finally(() => this.#leaving.delete(leaving));
  }
}

/** After a broken frame, `ws` has sent the close code, but would go on reading. */
const cuttingAt = (clock: Timer) =>
  function onError(this: WebSocket): void {
    (this as ServerSocket).connection?.failQuestions(); // no answer can come any more
    cutAfterGrace(this, clock);
    process.nextTick(() => this.pause()); // later, because ws resumes it in this turn
  };

/** The close code for the exception of a hook that refuses a connection. */
const CLOSE_CODE_OF: ReadonlyMap<string, number> = new Map([
  [ErrorCode.Unauthenticated, CloseCode.Unauthenticated],
  [ErrorCode.Forbidden, CloseCode.Forbidden],
  [ErrorCode.RateLimited, CloseCode.RateLimited],
  [ErrorCode.Unavailable, CloseCode.TryLater],
  [ErrorCode.BadRequest, CloseCode.Policy],
]);

const connectionOf = ({ ws }: RegisteredClient): Connection | undefined => (ws as ServerSocket | null)?.connection;
