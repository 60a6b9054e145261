import { PeerError, RoomForbiddenError, RoomNameInvalidError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { ConnectedClient } from '../decorators/connected-client.js';
import { isRoomName } from '../protocol/names.js';
import { isWellFormed } from '../protocol/text.js';
import { type Asked, joinRooms, type JoinReply, type JoinRequest, readRooms } from './join-rooms.js';
import type { AuthorizeJoin } from './room-authorizer.js';
import type { RouteCall } from './route-call.js';
import type { Router } from './router.js';

/** What the built-in routes need of the server. */
export interface SystemServices {
  protectedPrefixes: readonly string[];
  authorizeJoin: AuthorizeJoin | undefined;
  /** Resolves with the accepted request: an authenticated client keeps its own identity. */
  join(client: ConnectedClient, request: JoinRequest, asked: Asked): Promise<JoinRequest>;
  leave(client: ConnectedClient, roomName: string): void;
  /** Milliseconds that each room of a `joinRooms` may take. */
  joinTimeoutMs: number;
  failed(error: unknown, place: string): void;
  /** Left out where tokens can't be renewed. */
  refresh?: (client: ConnectedClient, data: unknown) => Promise<object>;
}

/**
 * Adds the routes of type `system` that wait for their turn. `ping` and `cancel`, which don't wait, are in `connection.ts`.
 */
export function addSystemRoutes(router: Router, services: SystemServices): void {
  const add = (action: string, handler: (call: RouteCall) => unknown): void =>
    router.add({ type: 'system', action, handler, place: 'the protocol itself', isBuiltIn: true });

  const join = async (client: ConnectedClient, data: unknown, asked: Asked): Promise<JoinReply> => {
    const request = readJoin(data);
    await authorize(services, client, request.roomName, data);
    asked.throwIfSettled();
    return { success: true, data: await services.join(client, request, asked) };
  };

  add('joinRoom', (call) => join(call.client as ConnectedClient, call.data, call));

  add('joinRooms', (call) => {
    const rooms = readRooms(call.data);
    return call.take(
      joinRooms(rooms, call, {
        timeoutMs: services.joinTimeoutMs,
        join: (data, asked) => join(call.client as ConnectedClient, data, asked),
        failed: services.failed,
      }),
    );
  });

  add('leaveRoom', (call) => {
    const { roomName } = readRoom(call.data);
    services.leave(call.client as ConnectedClient, roomName);
    return { success: true, data: { roomName } };
  });

  const { refresh } = services;
  if (refresh)
    add('refresh', async (call) => ({ success: true, data: await refresh(call.client as ConnectedClient, call.data) }));
}

async function authorize(
  { protectedPrefixes, authorizeJoin }: SystemServices,
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

function readRoom(data: unknown): Record<string, unknown> & { roomName: string } {
  const given = (typeof data === 'object' && data !== null ? data : {}) as Record<string, unknown>;
  if (!isRoomName(given['roomName'])) throw new RoomNameInvalidError();
  return given as Record<string, unknown> & { roomName: string };
}

/**
 * Ignores fields of the wrong type.
 * @throws {PeerError} BAD_REQUEST for a lone surrogate: two different names would become the same
 */
function readJoin(data: unknown): JoinRequest {
  const { roomName, username, userType, userId } = readRoom(data);
  for (const [field, value] of Object.entries({ username, userType, userId })) {
    if (typeof value === 'string' && !isWellFormed(value))
      throw new PeerError(ErrorCode.BadRequest, `"${field}" contains a lone surrogate (half a character).`);
  }
  return {
    roomName,
    ...(isShortText(username) ? { username } : {}),
    ...(isShortText(userType) ? { userType } : {}),
    ...(isShortText(userId) || Number.isSafeInteger(userId) ? { userId: userId as string | number } : {}),
  };
}

const isShortText = (value: unknown): value is string =>
  typeof value === 'string' && value.length >= 1 && value.length <= 128;
