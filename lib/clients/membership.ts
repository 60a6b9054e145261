import type { ConnectedClient } from '../decorators/connected-client.js';
import { ClientNotFoundError, PeerError } from '../errors.js';
import { keepable } from '../json-value.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { WebSocketUser } from '../protocol/message.js';
import { isUserId } from '../protocol/names.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import type { WebSocketRoomManager } from './room-manager.js';
import type { Asked, JoinRequest } from '../routing/join-rooms.js';
import type { WebSocketClientManager } from './client-manager.js';
import type { Followed } from './followed.js';

export interface MembershipHost {
  readonly options: Pick<ResolvedOptions, 'auth' | 'connect' | 'users'>;
  readonly clients: WebSocketClientManager;
  readonly rooms: WebSocketRoomManager;
  isAuthenticated(client: ConnectedClient): boolean;
  readonly followed: Followed;
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

  /**
   * All or nothing: what can be refused, or can fail, comes before the first change.
   * @returns what was taken of the request
   */
  async join(client: ConnectedClient, request: JoinRequest, asked?: Asked): Promise<JoinRequest> {
    const { rooms, followed } = this.host;
    const { clientId } = client;
    const { roomName } = request;
    const { username, userType } = keepable({ username: request.username, userType: request.userType }, 'joinRoom');
    const room = { kind: 'room', name: roomName } as const;
    rooms.checkJoin({ clientId, roomName });
    const user = await this.#userNamedBy(client, request);
    // Before the join is acknowledged: a message sent in between would be lost. And before anything is changed: it may fail.
    const isHeard = followed.hold(room);
    try {
      await isHeard;
      asked?.throwIfSettled();
      this.#enter(clientId, request, user);
    } finally {
      followed.release(room);
    }
    const userId = client.user?.userId;
    return { roomName, ...defined({ username, userType, userId }) };
  }

  /** In one turn, so that nothing is refused halfway. */
  #enter(clientId: string, { roomName, username, userType }: JoinRequest, user: WebSocketUser | undefined): void {
    const { clients, rooms } = this.host;
    if (!clients.getClient({ clientId })) throw new ClientNotFoundError(clientId);
    rooms.checkJoin({ clientId, roomName }); // others may have been joined meanwhile
    if (user) clients.setUser({ clientId, user });
    for (const [key, data] of Object.entries({ username, userType })) {
      if (data !== undefined) clients.updateClient({ clientId, key, data });
    }
    rooms.addClientToRoom({ clientId, roomName });
  }

  /** A client that authenticated stays who it is. */
  async #userNamedBy(client: ConnectedClient, { userId }: JoinRequest): Promise<WebSocketUser | undefined> {
    return userId === undefined || this.host.isAuthenticated(client) ? undefined : this.#loadUser(userId);
  }

  async #loadUser(userId: string | number): Promise<WebSocketUser> {
    if (!isUserId(userId)) throw new PeerError(ErrorCode.BadRequest, '"userId" must be a text or a finite number.');
    const { load } = this.host.options.users;
    if (!load) return { userId, payload: {} };
    const payload = await load(userId);
    if (!payload) throw new PeerError(ErrorCode.NotFound, 'There is no such user.');
    return { userId, payload: keepable(payload, 'users.load: payload') };
  }
}

function defined<T extends object>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;
}
