import { Deadline, TIMED_OUT } from '../deadline.js';
import { ConnectionError, PeerError, TimeoutError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { ErrorFrameData } from '../protocol/message.js';
import { describeError } from './describe-error.js';
import type { RouteCall } from './route-call.js';

/** Rooms of one `system/joinRooms`. */
const MAX_ROOMS = 100;
/** Rooms of one `system/joinRooms` that are asked for at the same time. */
const AT_ONCE = 8;

export interface JoinRequest {
  roomName: string;
  username?: string;
  userType?: string;
  userId?: string | number;
}

export interface JoinReply {
  success: true;
  data: JoinRequest;
}

/** The request that wants something. */
export type Asked = Pick<RouteCall, 'throwIfSettled'>;

export interface JoinRoomsHost {
  /** Milliseconds that one room may take. */
  timeoutMs: number;
  /** @param room as the client sent it */
  join(room: unknown, asked: Asked): Promise<JoinReply>;
  failed(error: unknown, place: string): void;
}

/** One part of the answer. */
type RoomPart = { roomName: unknown } & (JoinReply | { error: Pick<ErrorFrameData, 'code' | 'error' | 'details'> });

/** @throws {PeerError} */
export function readRooms(data: unknown): unknown[] {
  const rooms = (data as { rooms?: unknown } | null | undefined)?.rooms;
  if (!Array.isArray(rooms) || rooms.length > MAX_ROOMS)
    throw new PeerError(ErrorCode.BadRequest, `"rooms" must be a list of at most ${MAX_ROOMS} rooms.`);
  return rooms;
}

/** Joins room after room, some at the same time. What happens to one of them doesn't touch the others. */
export async function* joinRooms(rooms: unknown[], call: Asked, host: JoinRoomsHost): AsyncGenerator<RoomPart> {
  const underWay = new Set<Promise<void>>();
  const parts: RoomPart[] = [];
  const start = (room: unknown): void => {
    const joining = joinOne(room, call, host).then((part) => {
      underWay.delete(joining);
      parts.push(part);
    });
    underWay.add(joining);
  };
  let started = 0;
  for (;;) {
    while (parts.length > 0) yield parts.shift() as RoomPart;
    while (underWay.size < AT_ONCE && started < rooms.length) start(rooms[started++]);
    if (underWay.size === 0) return;
    await Promise.race(underWay);
  }
}

/** Never rejects. */
async function joinOne(room: unknown, call: Asked, { join, timeoutMs, failed }: JoinRoomsHost): Promise<RoomPart> {
  const given = (room as { roomName?: unknown } | null | undefined)?.roomName;
  const roomName = typeof given === 'string' ? given : null;
  const deadline = new Deadline(timeoutMs);
  const asked: Asked = {
    throwIfSettled() {
      call.throwIfSettled();
      if (deadline.isOver) throw new TimeoutError('Joining the room', timeoutMs);
    },
  };
  try {
    const reply = await deadline.race(join(room, asked));
    if (reply === TIMED_OUT) throw new TimeoutError('Joining the room', timeoutMs);
    return { roomName, ...reply };
  } catch (thrown) {
    const { code, error, details, isMeantForPeer } = describeError(thrown);
    if (!isMeantForPeer && !(thrown instanceof ConnectionError)) failed(thrown, 'system/joinRooms');
    return { roomName, error: { code, error, ...(details !== undefined && { details }) } };
  } finally {
    deadline.cancel();
  }
}
