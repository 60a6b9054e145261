import type { WebSocket } from 'ws';
import { composeAdmission } from './admission/compose-admission.js';
import type { Entrance } from './admission/entrance.js';
import type { Clock } from './clock.js';
import { Application, type ServerDependencies } from './application.js';
import { composeClients } from './clients/compose-clients.js';
import type { RoomTable } from './clients/room-table.js';
import { NO_LIST } from './clients/client-list.js';
import type { WebSocketClientManager } from './clients/client-manager.js';
import type { ClientsAnywhere } from './clients/clients-anywhere.js';
import { Followed } from './clients/followed.js';
import { OrdersOfOthers } from './clients/orders-of-others.js';
import type { WebSocketRoomManager } from './clients/room-manager.js';
import { Cluster } from './cluster/cluster.js';
import { clusterParts } from './cluster/cluster-parts.js';
import { Subscribers } from './cluster/subscribers.js';
import type { Connection } from './connection/connection.js';
import { ConnectionHooks } from './connection/connection-hooks.js';
import { Connections } from './connection/connections.js';
import { composeLogs, FollowedLogs } from './history/compose-logs.js';
import { History } from './history/history.js';
import { RoomPublisher } from './history/room-publisher.js';
import { composeReplies } from './idempotency/compose-replies.js';
import { Heartbeat } from './connection/heartbeat.js';
import { isAuthenticated, type ServerSocket } from './connection/server-socket.js';
import { TimeoutQueue } from './connection/timeout-queue.js';
import { guarded } from './guarded.js';
import { MessageLimits } from './limits/message-limits.js';
import { ErrorReport } from './observe/error-report.js';
import { Listeners } from './observe/listeners.js';
import type { ResolvedOptions } from './options/resolve-options.js';
import { Broadcasts } from './outbound/broadcasts.js';
import { Flusher } from './outbound/flusher.js';
import { LocalDelivery } from './outbound/local-delivery.js';
import { Outgoing } from './outbound/outgoing.js';
import { ServerSender } from './outbound/server-sender.js';
import { composePresence } from './presence/compose-presence.js';
import { CloseCode } from './protocol/close-codes.js';
import { CallScope } from './routing/call-scope.js';
import type { RouteCall } from './routing/route-call.js';
import { Router } from './routing/router.js';
import { ServerLifecycle } from './server-lifecycle.js';
import { ServerNode } from './server-node.js';
import type { StatusParts } from './server-status.js';
import { SYSTEM, type System } from './system.js';

type Failed = (error: unknown, place: string) => void;

/** What `WebSocketServer` calls. */
export interface ServerParts {
  readonly application: Application;
  readonly lifecycle: ServerLifecycle;
  readonly status: StatusParts;
  readonly entrance: Entrance;
  readonly connections: Connections;
  readonly router: Router;
  readonly clientManager: WebSocketClientManager;
  readonly roomManager: WebSocketRoomManager;
  readonly anywhere: ClientsAnywhere;
  readonly broadcasts: Broadcasts;
  readonly sender: ServerSender;
}

/** Builds the parts of a server, each complete, in the order in which they need each other. */
export function composeServer(options: ResolvedOptions, dependencies: ServerDependencies): ServerParts {
  const { system = SYSTEM } = dependencies;
  const { clock } = system;
  const report = new ErrorReport(options.events, clock);
  const failed: Failed = (error, place) => report.failed(error, place);
  const scope = options.rooms.history.length > 0 ? new CallScope() : undefined;
  const router = new Router({ scope });
  const subscribers = new Subscribers(failed);
  const listeners = new Listeners(options.events.onMessage, subscribers, report);
  const cluster = composeCluster(options, report, system);
  const outbound = composeOutbound(options, cluster, failed, scope, system);
  const clients = composeClients({ options, cluster, ...outbound, clock, failed });
  const hooks = new ConnectionHooks(options.events, clients.membership, failed);
  const replies = composeReplies(options, failed, system);
  const timeouts = new TimeoutQueue(clock, options.messages.handlerTimeoutMs, guarded('a timeout', failed, expire));
  const heartbeat = new Heartbeat(options, system, failed);
  const connections = new Connections({
    options,
    calls: { router, timeouts, messages: options.messages, received: listeners.received, failed },
    limits: messageLimits(options, clients.owner.rooms, clock),
    clients: clients.owner,
    changes: clients.changes,
    cluster,
    local: outbound.local,
    list: clients.list ?? NO_LIST,
    flusher: outbound.flusher,
    heartbeat,
    hooks,
    clock,
    failed,
  });
  // Limits by user count what is known of other nodes' clients. Of this node, they count clients whose handshake named
  // a user.
  const connectionsOf = (userId: string | number): number =>
    [...clients.owner.table.ofUser(userId)].filter((client) => client.ws === null || isAuthenticated(client)).length;
  const { refusals, entrance } = composeAdmission({ options, connectionsOf, connections, clock, report });
  const application = new Application({
    options,
    dependencies,
    router,
    subscribers,
    hooks,
    listeners,
    membership: clients.membership,
    history: outbound.publisher,
    presence: outbound.people?.presence,
    clients: clients.owner,
    connections,
    outgoing: outbound.outgoing,
    replies,
    clock,
    failed,
  });
  const node = new ServerNode({
    ...outbound,
    options,
    cluster,
    clients: clients.owner,
    manager: clients.manager,
    orders: new OrdersOfOthers(clients.owner, clients.manager, clients.membership),
    subscribers,
    listeners,
    replies,
    clock,
  });
  const lifecycle = new ServerLifecycle({
    options,
    application,
    entrance,
    node,
    connections,
    heartbeat,
    services: [...(clients.list ? [clients.list] : []), timeouts, outbound.flusher],
    report,
    clock,
  });
  return {
    application,
    lifecycle,
    status: { cluster, connections, flusher: outbound.flusher, lifecycle, refusals },
    entrance,
    connections,
    router,
    clientManager: clients.manager,
    roomManager: clients.roomManager,
    anywhere: clients.anywhere,
    broadcasts: outbound.broadcasts,
    sender: new ServerSender(
      outbound.outgoing,
      cluster,
      clients.manager,
      outbound.publisher,
      outbound.people?.presence,
    ),
  };
}

function composeCluster(options: ResolvedOptions, report: ErrorReport, system: System): Cluster {
  const failed = (error: Error, place = 'the cluster', kind?: string): void => report.failed(error, place, kind);
  return new Cluster(clusterParts(options, failed, system), options.registry === 'replicated', failed);
}

/** Messages to sockets: of this node, and on the way to other nodes. */
function composeOutbound(
  options: ResolvedOptions,
  cluster: Cluster,
  failed: Failed,
  scope: CallScope | undefined,
  system: System,
) {
  const { backpressure, delivery } = options;
  const notWritten = (error: unknown): void => failed(error, 'writing to a socket');
  const flusher = new Flusher(backpressure, delivery.flush, closeSlow, notWritten, system);
  const followed = new Followed(cluster, system.clock, failed);
  const logs = composeLogs(options, followed, failed, system);
  const follows = logs ? new FollowedLogs(followed, logs) : followed;
  const local = new LocalDelivery(backpressure, flusher.counters, follows, system.clock);
  const history = logs && new History(logs, local, backpressure.maxBufferedBytes, system.clock, failed);
  const publisher = logs && new RoomPublisher(logs.log, logs.rules, scope && { scope, members: local });
  const emit = (event: string, message: object): Promise<unknown> => cluster.emit(event, message);
  const people = composePresence({ options, followed, local, emit, system, failed });
  const outgoing = new Outgoing(local, cluster, backpressure.policy, publisher, failed);
  const broadcasts = new Broadcasts(outgoing);
  return { flusher, followed, logs, history, publisher, people, local, outgoing, broadcasts };
}

const messageLimits = (
  { limits, messages }: ResolvedOptions,
  rooms: Pick<RoomTable, 'has'>,
  clock: Clock,
): MessageLimits<Connection> =>
  new MessageLimits<Connection>(limits, {
    clock,
    maxPayload: messages.maxPayload,
    userKeyOf: ({ client, isAuthenticated: isKnown }) =>
      client.user && isKnown ? String(client.user.userId) : undefined,
    isIn: ({ clientId }, roomName) => rooms.has(clientId, roomName),
    close: (connection, code, reason) => connection.close(code, reason),
  });

const closeSlow = ({ ws }: { ws: WebSocket }): void =>
  (ws as ServerSocket).connection?.close(CloseCode.SlowConsumer, 'too slow');

const expire = (call: RouteCall): void => (call.ws as ServerSocket).connection?.expire(call);
