import type { Cluster } from '../cluster/cluster.js';
import type { ClientRecord } from '../cluster/client-record.js';
import { ClientNotFoundError } from '../errors.js';
import type { JoinRequest } from '../routing/join-rooms.js';
import type { ClientReference, RemoteClient } from './client-reference.js';
import type { Clients } from './clients.js';
import type { Membership } from './membership.js';
import type { OtherNodes } from './other-nodes.js';
import type { RegisteredClient } from './registered-client.js';

/** Joins, leaves and reads of clients by server code, on whichever node the clients are. */
export class ClientsAnywhere {
  constructor(
    private readonly clients: Clients,
    private readonly membership: Membership,
    private readonly others: OtherNodes,
    private readonly cluster: Cluster,
  ) {}

  /** @throws {ClientNotFoundError} @throws {RoomNameInvalidError} @throws {RoomLimitError} */
  async joinRoom({ ws, clientId, ...request }: JoinRequest & ClientReference): Promise<true> {
    const client = this.#find({ ws, clientId });
    const id = client?.clientId ?? clientId;
    if (client?.ws) await this.membership.join(client, request);
    else if (id !== undefined && (client || this.others.mayHave(id)))
      await this.others.order({ op: 'join', clientId: id, request });
    else throw new ClientNotFoundError(id ?? 'of this socket');
    return true;
  }

  leaveRoom({ ws, clientId, roomName }: ClientReference & { roomName: string }): void {
    const id = this.#find({ ws, clientId })?.clientId ?? clientId;
    if (id !== undefined) this.clients.leave(id, roomName, 'here');
  }

  async fetchClients(): Promise<{ clients: RemoteClient[]; missing: string[] }> {
    const { records, missing } = await this.cluster.fetch();
    return { clients: records.map(toRemoteClient), missing };
  }

  async fetchRoom(roomName: string): Promise<{ clients: RemoteClient[]; missing: string[] }> {
    const { clients, missing } = await this.fetchClients();
    return { clients: clients.filter(({ rooms }) => rooms.includes(roomName)), missing };
  }

  async fetchNodes(): Promise<{ nodeIds: string[]; missing: string[] }> {
    const { nodeIds, missing } = await this.cluster.fetch();
    return { nodeIds, missing };
  }

  #find({ ws, clientId }: ClientReference): RegisteredClient | undefined {
    const { table } = this.clients;
    if (clientId !== undefined) return table.get(clientId);
    return ws && table.bySocket(ws);
  }
}

const toRemoteClient = ({ clientId, lastActivity, user, rooms, metadata }: ClientRecord): RemoteClient => ({
  clientId,
  lastActivity,
  user,
  rooms,
  metadata,
});
