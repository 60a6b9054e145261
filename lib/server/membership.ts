import type { ConnectedClient } from '../decorators/connected-client.js';
import { ClientNotFoundError, PeerError, RoomNameInvalidError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { WebSocketUser } from '../protocol/message.js';
import { isRoomName } from '../protocol/names.js';
import type { ResolvedOptions } from '../resolve-options.js';
import type { WebSocketRoomManager } from '../rooms/room-manager.js';
import type { Asked, JoinRequest } from '../routing/system.routes.js';
import type { WebSocketClientManager } from './client-manager.js';

export interface MembershipHost {
  readonly options: Pick<ResolvedOptions, 'auth' | 'connect' | 'users'>;
  readonly clients: WebSocketClientManager;
  readonly rooms: WebSocketRoomManager;
  isAuthenticated(client: ConnectedClient): boolean;
  /** Resolves when this node hears of messages for the room. */
  follow(roomName: string): Promise<void>;
}

/** Who joins a room as whom. */
export class Membership {
  constructor(private readonly host: MembershipHost) {}

  /**
   * What a client says of itself is only taken on a server where neither authentication nor a guard may say who it is:
   * otherwise its identity comes from the handshake alone.
   */
  joinByItself(
    client: ConnectedClient,
    { userId, userType, ...request }: JoinRequest,
    asked: Asked,
  ): Promise<JoinRequest> {
    const { auth, connect } = this.host.options;
    const isOpen = auth === undefined && connect.guards.length === 0;
    return this.join(client, isOpen ? { userId, userType, ...request } : request, asked);
  }

  /** @returns what was taken of the request */
  async join(client: ConnectedClient, request: JoinRequest, asked?: Asked): Promise<JoinRequest> {
    const { clients, rooms, isAuthenticated, follow } = this.host;
    const { clientId } = client;
    const { roomName, username, userType } = request;
    if (!isRoomName(roomName)) throw new RoomNameInvalidError();
    if (request.userId !== undefined && !isAuthenticated(client)) {
      const user = await this.#loadUser(request.userId);
      asked?.throwIfSettled();
      clients.setUser({ clientId, user });
    }
    if (!clients.getClient({ clientId })) throw new ClientNotFoundError(clientId);
    for (const [key, data] of Object.entries({ username, userType })) {
      if (data !== undefined) clients.updateClient({ clientId, key, data });
    }
    rooms.addClientToRoom({ clientId, roomName });
    await follow(roomName); // before the join is acknowledged: a message sent in between would be lost
    const userId = client.user?.userId;
    return { roomName, ...defined({ username, userType, userId }) };
  }

  async #loadUser(userId: string | number): Promise<WebSocketUser> {
    const { load } = this.host.options.users;
    if (!load) return { userId, payload: {} };
    const payload = await load(userId);
    if (!payload) throw new PeerError(ErrorCode.NotFound, 'There is no such user.');
    return { userId, payload };
  }
}

function defined<T extends object>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;
}
