import type { ConnectedClient } from '../decorators/connected-client.js';
import { ClientNotFoundError, PeerError, RoomNameInvalidError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { WebSocketRedisSubscriberEvent as Event } from '../protocol/events.js';
import type { WebSocketUser } from '../protocol/message.js';
import { isRoomName } from '../protocol/names.js';
import type { ResolvedOptions } from '../resolve-options.js';
import type { RoomListener, WebSocketRoomManager } from '../rooms/room-manager.js';
import type { JoinRequest } from '../routing/system.routes.js';
import type { WebSocketClientManager } from './client-manager.js';

export interface MembershipHost {
  readonly options: Pick<ResolvedOptions, 'auth' | 'users'>;
  readonly clients: WebSocketClientManager;
  readonly rooms: WebSocketRoomManager;
  isAuthenticated(client: ConnectedClient): boolean;
  sendTo(clientId: string, message: { type: string; action: string; data: unknown }): void;
  publish(channel: string, data: unknown): void;
  listChanged(event: string): void;
}

/** Who joins which room, as whom; and who is told. */
export class Membership implements RoomListener {
  /** The client asked to leave: its reply says so, a push would say it twice. */
  #isAskedFor = false;

  constructor(private readonly host: () => MembershipHost) {}

  /**
   * What a client says of itself is only taken on a server that knows no authentication: otherwise its identity comes
   * from the handshake alone.
   */
  joinByItself(client: ConnectedClient, { userId, userType, ...request }: JoinRequest): Promise<JoinRequest> {
    const isOpen = this.host().options.auth === undefined;
    return this.join(client, isOpen ? { userId, userType, ...request } : request);
  }

  /** @returns what was taken of the request */
  async join(client: ConnectedClient, request: JoinRequest): Promise<JoinRequest> {
    const { clients, rooms, isAuthenticated } = this.host();
    const { clientId } = client;
    const { roomName, username, userType } = request;
    if (!isRoomName(roomName)) throw new RoomNameInvalidError();
    if (request.userId !== undefined && !isAuthenticated(client)) {
      const user = await this.#loadUser(request.userId);
      clients.setUser({ clientId, user });
    }
    if (!clients.getClient({ clientId })) throw new ClientNotFoundError(clientId);
    for (const [key, data] of Object.entries({ username, userType })) {
      if (data !== undefined) clients.updateClient({ clientId, key, data });
    }
    rooms.addClientToRoom({ clientId, roomName });
    const userId = client.user?.userId;
    return { roomName, ...defined({ username, userType, userId }) };
  }

  leaveByItself({ clientId }: ConnectedClient, roomName: string): void {
    this.#isAskedFor = true;
    try {
      this.host().rooms.removeClientFromRoom({ clientId, roomName });
    } finally {
      this.#isAskedFor = false;
    }
  }

  joined(clientId: string, roomName: string, user: unknown): void {
    const { clients, publish } = this.host();
    const client = clients.getClient({ clientId }) as (ConnectedClient & { roomName: string | null }) | undefined;
    if (client) client.roomName = roomName;
    if (client && !client.user && isUser(user)) clients.setUser({ clientId, user });
    publish(Event.ClientJoinedRoom, { clientId, roomName, ...defined({ userId: client?.user?.userId }) });
  }

  left(clientId: string, roomName: string, reason: 'removed' | 'moved'): void {
    const { clients, rooms, publish, sendTo } = this.host();
    const client = clients.getClient({ clientId }) as (ConnectedClient & { roomName: string | null }) | undefined;
    if (client) client.roomName = rooms.getClientRooms({ clientId }).at(-1) ?? null;
    publish(Event.ClientLeftRoom, { clientId, roomName });
    if (client && !this.#isAskedFor)
      sendTo(clientId, { type: 'system', action: 'leftRoom', data: { roomName, reason } });
  }

  changed(): void {
    this.host().listChanged('rooms');
  }

  async #loadUser(userId: string | number): Promise<WebSocketUser> {
    const { load } = this.host().options.users;
    if (!load) return { userId, payload: {} };
    const payload = await load(userId);
    if (!payload) throw new PeerError(ErrorCode.NotFound, 'There is no such user.');
    return { userId, payload };
  }
}

const isUser = (value: unknown): value is WebSocketUser =>
  typeof value === 'object' &&
  value !== null &&
  ['string', 'number'].includes(typeof (value as Partial<WebSocketUser>).userId);

function defined<T extends object>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;
}
