import type { ConnectedClient } from '../decorators/connected-client.js';
import { PeerError } from '../errors.js';
import { keepable } from '../json-value.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { WebSocketUser } from '../protocol/message.js';
import { isUserId } from '../protocol/names.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { isAuthenticated } from '../connection/server-socket.js';
import type { Attachment } from '../history/attach.js';
import type { History } from '../history/history.js';
import type { Presence } from '../presence/presence.js';
import type { Asked, Joined, JoinedHistory, JoinRequest } from '../routing/join-rooms.js';
import type { Origin } from './client-changes.js';
import type { Clients } from './clients.js';
import type { Followed } from './followed.js';
import type { JoinUnderWay } from './joins-under-way.js';

/** Lets clients into rooms. Decides which user they are, and which data of the request is kept. */
export class Membership {
  constructor(
    private readonly clients: Pick<Clients, 'checkJoin' | 'join' | 'joins'>,
    private readonly followed: Followed,
    /** Undefined without rooms with history. */
    private readonly history: History | undefined,
    /** Undefined without rooms with presence. */
    private readonly presence: Presence | undefined,
    private readonly options: Pick<ResolvedOptions, 'auth' | 'connect' | 'users'>,
  ) {}

  /**
   * A client may only name its own user if the server has neither authentication nor guards. Otherwise the handshake
   * decides.
   * @param allow rejects if the application doesn't let it in
   */
  joinByItself(
    client: ConnectedClient,
    { userId, userType, ...request }: JoinRequest,
    asked: Asked,
    allow: () => Promise<void>,
  ): Promise<Joined> {
    const { auth, connect } = this.options;
    const isOpen = auth === undefined && connect.guards.length === 0;
    const given = isOpen ? { userId, userType, ...request } : request;
    return this.#underWay(client, given, 'asked', async (join) => {
      await allow();
      return this.#join(client, given, join, asked);
    });
  }

  /** @returns the data of the request that was kept */
  join(client: ConnectedClient, request: JoinRequest): Promise<Joined> {
    return this.#underWay(client, request, 'here', (join) => this.#join(client, request, join));
  }

  async #underWay(
    { clientId }: ConnectedClient,
    { roomName }: JoinRequest,
    origin: Origin,
    work: (join: JoinUnderWay) => Promise<Joined>,
  ): Promise<Joined> {
    const join = this.clients.joins.begin(clientId, roomName, origin);
    try {
      return await work(join);
    } finally {
      this.clients.joins.end(join);
    }
  }

  /** All or nothing: checks and calls that may fail come before the first change. */
  async #join(client: ConnectedClient, request: JoinRequest, underWay: JoinUnderWay, asked?: Asked): Promise<Joined> {
    const { clientId } = client;
    const { roomName } = request;
    const said = keepable({ username: request.username, userType: request.userType }, 'joinRoom');
    const metadata = defined({ username: said.username, userType: said.userType });
    const room = { kind: 'room', name: roomName } as const;
    this.clients.checkJoin(clientId, roomName);
    const presence = this.presence?.ruleOf(roomName) && this.presence;
    const presenceData = presence?.keepable(roomName, request.presenceData);
    const user = await this.#userNamedBy(client, request);
    const enter = (attachment?: Attachment): Joined => {
      asked?.throwIfSettled();
      underWay.throwIfLeft();
      this.clients.join(clientId, { roomName, user, metadata }, underWay.origin);
      const taken = { roomName, ...metadata, ...defined({ userId: client.user?.userId }) };
      const present = presence?.admit(client, roomName, { presence: request.presence, presenceData });
      return { ...taken, ...(attachment && { history: historyOf(attachment) }), ...defined({ presence: present }) };
    };
    // Before the reply, or messages sent in between would be lost. Before any change, because it may fail.
    const isHeard = this.followed.hold(room);
    const wantsPresence = presence !== undefined && (request.presence === true || request.presence === 'count');
    const isKnown = wantsPresence ? presence.hold(roomName) : undefined;
    try {
      await Promise.all([isHeard, isKnown]);
      const rule = this.history?.ruleOf(roomName);
      if (!rule || (!asked && isKept(client, request))) {
        const joined = enter();
        // Replies before the member gets the next change of presence.
        if (wantsPresence) asked?.answer({ success: true, data: joined });
        return joined;
      }
      let joined: Joined = { roomName };
      await this.history?.attach(clientId, roomName, rule, request, (attachment) => {
        joined = enter(attachment);
        asked?.answer({ success: true, data: joined });
      });
      return joined;
    } finally {
      this.followed.release(room);
      if (wantsPresence) presence.release(roomName);
    }
  }

  /** A client that authenticated keeps its user. */
  async #userNamedBy(client: ConnectedClient, { userId }: JoinRequest): Promise<WebSocketUser | undefined> {
    return userId === undefined || isAuthenticated(client) ? undefined : this.#loadUser(userId);
  }

  async #loadUser(userId: string | number): Promise<WebSocketUser> {
    if (!isUserId(userId)) throw new PeerError(ErrorCode.BadRequest, '"userId" must be a text or a finite number.');
    const { load } = this.options.users;
    if (!load) return { userId, payload: {} };
    const payload = await load(userId);
    if (!payload) throw new PeerError(ErrorCode.NotFound, 'There is no such user.');
    return { userId, payload: keepable(payload, 'users.load: payload') };
  }
}

/** Server code puts a member into its room again: it goes on getting what it gets. */
const isKept = ({ rooms }: ConnectedClient, { roomName, since, tail, echo }: JoinRequest): boolean =>
  since === undefined && tail === undefined && echo === undefined && rooms.includes(roomName);

const historyOf = ({ position, recovered, reason, missed }: Attachment): JoinedHistory => ({
  ...position,
  ...defined({ recovered, reason }),
  missed,
});

function defined<T extends object>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;
}
