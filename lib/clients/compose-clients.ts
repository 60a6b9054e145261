import type { Clock } from '../clock.js';
import type { Cluster } from '../cluster/cluster.js';
import type { History } from '../history/history.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import type { LocalDelivery } from '../outbound/local-delivery.js';
import type { Outgoing } from '../outbound/outgoing.js';
import type { People } from '../presence/compose-presence.js';
import { ClientChanges } from './client-changes.js';
import { ClientList, NO_LIST } from './client-list.js';
import { WebSocketClientManager } from './client-manager.js';
import { ClientTable } from './client-table.js';
import { Clients } from './clients.js';
import { ClientsAnywhere } from './clients-anywhere.js';
import type { Followed } from './followed.js';
import { ListedClients } from './listed-clients.js';
import { Membership } from './membership.js';
import { OtherNodes } from './other-nodes.js';
import type { ClientSurroundings } from './registered-client.js';
import { WebSocketRoomManager } from './room-manager.js';
import { RoomTable } from './room-table.js';

export interface ClientServices {
  readonly options: ResolvedOptions;
  readonly cluster: Cluster;
  readonly local: LocalDelivery;
  readonly outgoing: Outgoing;
  readonly followed: Followed;
  /** Undefined without rooms with history. */
  readonly history: History | undefined;
  /** Undefined without rooms with presence. */
  readonly people: People | undefined;
  readonly clock: Clock;
  failed(error: unknown, place: string): void;
}

/** The clients and their rooms. */
export function composeClients({
  options,
  cluster,
  local,
  outgoing,
  followed,
  history,
  people,
  clock,
  failed,
}: ClientServices) {
  const { clientList, rooms: rules, registry, redis } = options;
  const table = new ClientTable();
  const rooms = new RoomTable(rules);
  const list = clientList.enabled
    ? new ClientList(clientList, {
        clients: new ListedClients(table, local),
        receivers: () => local.admitted(),
        clock,
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
  const owner = new Clients({
    table,
    rooms,
    surroundings,
    changes,
    list: list ?? NO_LIST,
    local,
    others,
    clock,
    failed,
  });
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
