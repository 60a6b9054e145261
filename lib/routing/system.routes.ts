import type { Timer } from '../deadline.js';
import { PeerError, RoomForbiddenError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { ConnectedClient } from '../decorators/connected-client.js';
import { isWellFormed } from '../protocol/text.js';
import type { HistoryPage, RoomPublisher } from '../history/room-publisher.js';
import type { RoomPosition } from '../protocol/message.js';
import { type Asked, type Joined, joinRooms, type JoinReply, type JoinRequest, readRooms } from './join-rooms.js';
import { authorizePresenceOf, type PresenceServices, updatePresence } from './presence-route.js';
import { publishRoute, type PublishServices } from './publish-route.js';
import type { AuthorizeJoin } from './room-authorizer.js';
import { notInRoom, readRoom } from './room-request.js';
import type { RouteCall } from './route-call.js';
import type { Router } from './router.js';

/** What joins and leaves need of the server. */
export interface JoinServices {
  protectedPrefixes: readonly string[];
  authorizeJoin: AuthorizeJoin | undefined;
  /**
   * Resolves with the accepted data. An authenticated client keeps its own identity.
   * @param allow rejects if the application doesn't let it in
   */
  join(client: ConnectedClient, request: JoinRequest, asked: Asked, allow: () => Promise<void>): Promise<Joined>;
  leave(client: ConnectedClient, roomName: string): void;
  /** Milliseconds that each room of a `joinRooms` may take. */
  joinTimeoutMs: number;
  clock: Timer;
  failed(error: unknown, place: string): void;
}

/** What `system/history` needs of the server. */
export interface HistoryServices {
  history: Pick<RoomPublisher, 'ruleOf' | 'page'>;
  isIn(client: ConnectedClient, roomName: string): boolean;
}

/** What each kind of built-in route needs of the server. */
export interface SystemServices {
  joining: JoinServices;
  presence: PresenceServices;
  publishing: PublishServices;
  /** Undefined without rooms with history. */
  history: HistoryServices | undefined;
  /** Replaces the token of a client. Left out if tokens can't be renewed. */
  refresh?: (client: ConnectedClient, data: unknown) => Promise<object>;
}

/**
 * Adds the routes of type `system` that wait for their turn. `ping` and `cancel`, which don't wait, are in `connection.ts`.
 */
export function addSystemRoutes(
  router: Router,
  { joining, presence, publishing, history, refresh }: SystemServices,
): void {
  const add = (action: string, handler: (call: RouteCall) => unknown): void =>
    router.add({ type: 'system', action, handler, place: 'the protocol itself', isBuiltIn: true });

  const join = async (client: ConnectedClient, data: unknown, asked: Asked): Promise<JoinReply> => {
    const request = readJoin(data);
    const allow = async (): Promise<void> => {
      await authorize(joining, client, request.roomName, data);
      await authorizePresenceOf(presence, client, request.roomName, request.presenceData);
      asked.throwIfSettled();
    };
    return { success: true, data: await joining.join(client, request, asked, allow) };
  };

  add('joinRoom', (call) => join(call.client as ConnectedClient, call.data, askedBy(call)));

  add('joinRooms', (call) => {
    const rooms = readRooms(call.data);
    return call.take(
      joinRooms(rooms, call, {
        timeoutMs: joining.joinTimeoutMs,
        clock: joining.clock,
        join: (data, asked) => join(call.client as ConnectedClient, data, asked),
        failed: joining.failed,
      }),
    );
  });

  add('leaveRoom', (call) => {
    const { roomName } = readRoom(call.data);
    joining.leave(call.client as ConnectedClient, roomName);
    return { success: true, data: { roomName } };
  });

  if (history) add('history', (call) => historyOf(history, call.client as ConnectedClient, call.data));

  if (presence.presence) add('updatePresence', (call) => updatePresence(presence, call, readRoom(call.data)));

  add('publish', publishRoute(publishing));

  if (refresh)
    add('refresh', async (call) => ({ success: true, data: await refresh(call.client as ConnectedClient, call.data) }));
}

const askedBy = (call: RouteCall): Asked => ({
  throwIfSettled: () => call.throwIfSettled(),
  answer: (reply) => call.peer.answer(call, reply),
});

/** @throws {PeerError} */
async function historyOf(
  { history, isIn }: HistoryServices,
  client: ConnectedClient,
  data: unknown,
): Promise<HistoryPage> {
  const { roomName, limit, since, before, reverse } = readRoom(data);
  if (!isIn(client, roomName)) throw notInRoom();
  if (!history.ruleOf(roomName)) throw new PeerError(ErrorCode.NotFound, 'This room keeps no history.');
  const page = await history.page(roomName, {
    limit: readCount('limit', limit),
    since: readPosition('since', since),
    before: readPosition('before', before),
    reverse: reverse === true,
  });
  if (!isIn(client, roomName)) throw new PeerError(ErrorCode.NotInRoom, 'You are not in the room any more.');
  return page;
}

function readCount(name: string, value: unknown): number | undefined {
  if (value === undefined || (Number.isSafeInteger(value) && (value as number) >= 0))
    return value as number | undefined;
  throw new PeerError(ErrorCode.BadRequest, `"${name}" must be a whole number.`);
}

/**
 * Reads a place. An unreadable one is refused: without it, the client would get less than it asked for.
 * @throws {PeerError} BAD_REQUEST
 */
function readPosition(name: string, value: unknown): RoomPosition | undefined {
  if (value === undefined) return undefined;
  const { epoch, offset } = (typeof value === 'object' && value !== null ? value : {}) as Partial<RoomPosition>;
  if (typeof epoch === 'string' && epoch.length <= 64 && Number.isSafeInteger(offset) && (offset as number) >= 0)
    return { epoch, offset: offset as number };
  throw new PeerError(ErrorCode.BadRequest, `"${name}" must be { epoch, offset }, as a publication says it in "at".`);
}

async function authorize(
  { protectedPrefixes, authorizeJoin }: JoinServices,
  client: ConnectedClient,
  roomName: string,
  data: unknown,
): Promise<void> {
  if (authorizeJoin) {
    const isAllowed: unknown = await authorizeJoin({ client, roomName, data });
    if (isAllowed !== true) throw new RoomForbiddenError();
  } else if (protectedPrefixes.some((prefix) => roomName.startsWith(prefix))) {
    throw new RoomForbiddenError();
  }
}

/**
 * Ignores fields of the wrong type.
 * @throws {PeerError} BAD_REQUEST for a lone surrogate: two different names would become the same
 */
function readJoin(data: unknown): JoinRequest {
  const { roomName, username, userType, userId, since, tail, echo, presence, presenceData } = readRoom(data);
  for (const [field, value] of Object.entries({ username, userType, userId })) {
    if (typeof value === 'string' && !isWellFormed(value))
      throw new PeerError(ErrorCode.BadRequest, `"${field}" contains a lone surrogate (half a character).`);
  }
  return {
    roomName,
    since: readPosition('since', since),
    tail: readCount('tail', tail),
    echo: echo !== false,
    presence: typeof presence === 'boolean' || presence === 'count' ? presence : undefined,
    presenceData,
    ...(isShortText(username) ? { username } : {}),
    ...(isShortText(userType) ? { userType } : {}),
    ...(isShortText(userId) || Number.isSafeInteger(userId) ? { userId: userId as string | number } : {}),
  };
}

const isShortText = (value: unknown): value is string =>
  typeof value === 'string' && value.length >= 1 && value.length <= 128;
