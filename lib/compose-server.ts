import type { WebSocket } from 'ws';
import { ConnectionLimits } from './admission/connection-limits.js';
import { Entrance } from './admission/entrance.js';
import { Refusals } from './admission/refusals.js';
import { Application, type ServerDependencies } from './application.js';
import { systemClock } from './clock.js';
import { ClientChanges } from './clients/client-changes.js';
import { ClientList, NO_LIST } from './clients/client-list.js';
import { WebSocketClientManager } from './clients/client-manager.js';
import { ClientTable } from './clients/client-table.js';
import { Clients } from './clients/clients.js';
import { ClientsAnywhere } from './clients/clients-anywhere.js';
import { Followed } from './clients/followed.js';
import { ListedClients } from './clients/listed-clients.js';
import { Membership } from './clients/membership.js';
import { OrdersOfOthers } from './clients/orders-of-others.js';
import { OtherNodes } from './clients/other-nodes.js';
import type { ClientSurroundings } from './clients/registered-client.js';
import { WebSocketRoomManager } from './clients/room-manager.js';
import { RoomTable } from './clients/room-table.js';
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
import { addressReader } from './limits/client-address.js';
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
import { PathPattern } from './protocol/path-pattern.js';
import { CallScope } from './routing/call-scope.js';
import type { RouteCall } from './routing/route-call.js';
import { Router } from './routing/router.js';
import { ServerLifecycle } from './server-lifecycle.js';
import { ServerNode } from './server-node.js';
import type { StatusParts } from './server-status.js';

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
  const report = new ErrorReport(options.events);
  const failed: Failed = (error, place) => report.failed(error, place);
  const scope = options.rooms.history.length > 0 ? new CallScope() : undefined;
  const router = new Router({ scope });
  const subscribers = new Subscribers(failed);
  const listeners = new Listeners(options.events.onMessage, subscribers, report);
  const cluster = composeCluster(options, report);
  const outbound = composeOutbound(options, cluster, failed, scope);
  const clients = composeClients(options, cluster, outbound, failed);
  const hooks = new ConnectionHooks(options.events, clients.membership, failed);
  const replies = composeReplies(options, failed);
  const timeouts = new TimeoutQueue(options.messages.handlerTimeoutMs, guarded('a timeout', failed, expire));
  const heartbeat = new Heartbeat(options, failed);
  const connections = new Connections({
    options,
    calls: { router, timeouts, messages: options.messages, received: listeners.received, failed },
    limits: messageLimits(options),
    clients: clients.owner,
    changes: clients.changes,
    cluster,
    local: outbound.local,
    list: clients.list ?? NO_LIST,
    flusher: outbound.flusher,
    heartbeat,
    hooks,
    failed,
  });
  const { refusals, entrance } = composeAdmission(options, clients.owner.table, connections, report);
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

function composeCluster(options: ResolvedOptions, report: ErrorReport): Cluster {
  const failed = (error: Error, place = 'the cluster', kind?: string): void => report.failed(error, place, kind);
  return new Cluster(clusterParts(options, failed), options.registry === 'replicated', failed);
}

/** Messages to sockets: of this node, and on the way to other nodes. */
function composeOutbound(options: ResolvedOptions, cluster: Cluster, failed: Failed, scope: CallScope | undefined) {
  const { backpressure, delivery } = options;
  const flusher = new Flusher(backpressure, delivery.flush, closeSlow, (error) => failed(error, 'writing to a socket'));
  const followed = new Followed(cluster, failed);
  const logs = composeLogs(options, followed, failed);
  const local = new LocalDelivery(backpressure, flusher.counters, logs ? new FollowedLogs(followed, logs) : followed);
  const history = logs && new History(logs, local, backpressure.maxBufferedBytes, systemClock, failed);
  const publisher = logs && new RoomPublisher(logs.log, logs.rules, scope && { scope, members: local });
  const emit = (event: string, message: object): Promise<unknown> => cluster.emit(event, message);
  const people = composePresence({ options, followed, local, emit, failed });
  const outgoing = new Outgoing(local, cluster, backpressure.policy, publisher, failed);
  const broadcasts = new Broadcasts(outgoing);
  return { flusher, followed, logs, history, publisher, people, local, outgoing, broadcasts };
}

/** The clients and their rooms. */
function composeClients(
  options: ResolvedOptions,
  cluster: Cluster,
  { local, outgoing, followed, history, people }: ReturnType<typeof composeOutbound>,
  failed: Failed,
) {
  const { clientList, rooms: rules, registry, redis } = options;
  const table = new ClientTable();
  const rooms = new RoomTable(rules);
  const list = clientList.enabled
    ? new ClientList(clientList, {
        clients: new ListedClients(table, local),
        receivers: () => local.admitted(),
        failed,
      })
    : undefined;
  const others = new OtherNodes(cluster, registry === 'local' && redis !== undefined, failed);
  const changes = new ClientChanges(local, cluster, outgoing, list ?? NO_LIST, others, people?.presence);
  const surroundings: ClientSurroundings = {
    roomsOf: (clientId) => rooms.roomsOf(clientId),
    publicFields: clientList.publicFields,
    isPublicRoom: (roomName) => !rules.protectedPrefixes.some((prefix) => roomName.startsWith(prefix)),
    send: (clientId, message, how) => void outgoing.send({ kind: 'clients', clientIds: [clientId] }, message, how),
  };
  const owner = new Clients({ table, rooms, surroundings, changes, list: list ?? NO_LIST, local, others, failed });
  const membership = new Membership(owner, followed, history, people?.presence, options);
  return {
    owner,
    changes,
    list,
    membership,
    manager: new WebSocketClientManager({}, owner),
    roomManager: new WebSocketRoomManager({}, owner),
    anywhere: new ClientsAnywhere(owner, membership, others, cluster),
  };
}

/** Decides who gets a socket. */
function composeAdmission(options: ResolvedOptions, table: ClientTable, connections: Connections, report: ErrorReport) {
  const { events, auth, trustProxy } = options;
  const path = new PathPattern(options.path);
  const addressOf = addressReader(trustProxy);
  const refusals = new Refusals({
    addressOf,
    cookieName: auth?.cookieName,
    refused: (handshake) => report.contain('events.onRefused', () => events.onRefused?.(handshake)),
  });
  // Limits by user count what is known of other nodes' clients. Of this node, they count clients whose handshake named
  // a user.
  const limits = new ConnectionLimits(
    options.limits,
    (userId) => [...table.ofUser(userId)].filter((client) => client.ws === null || isAuthenticated(client)).length,
  );
  const failed: Failed = (error, place) => report.failed(error, place);
  return { refusals, entrance: new Entrance({ options, path, limits, refusals, connections, addressOf, failed }) };
}

const messageLimits = ({ limits, messages }: ResolvedOptions): MessageLimits<Connection> =>
  new MessageLimits<Connection>(limits, {
    maxPayload: messages.maxPayload,
    userKeyOf: ({ client, isAuthenticated: isKnown }) =>
      client.user && isKnown ? String(client.user.userId) : undefined,
    close: (connection, code, reason) => connection.close(code, reason),
  });

const closeSlow = ({ ws }: { ws: WebSocket }): void =>
  (ws as ServerSocket).connection?.close(CloseCode.SlowConsumer, 'too slow');

const expire = (call: RouteCall): void => (call.ws as ServerSocket).connection?.expire(call);
