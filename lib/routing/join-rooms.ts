import { Deadline, TIMED_OUT, type Timer } from '../deadline.js';
import { ConnectionError, PeerError, TimeoutError } from '../errors.js';
import type { RefusalReason, Resumption } from '../history/attach.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { ErrorFrameData } from '../protocol/message.js';
import type { PresenceRequest } from '../presence/presence.js';
import type { RoomPresence } from '../presence/presence-frames.js';
import { describeError } from './describe-error.js';
import type { RouteCall } from './route-call.js';

/** The maximum number of rooms in one `system/joinRooms`. */
const MAX_ROOMS = 100;
/** Rooms of one `system/joinRooms` that are joined at the same time. */
const AT_ONCE = 8;

export interface JoinRequest extends Resumption, PresenceRequest {
  roomName: string;
  username?: string;
  userType?: string;
  userId?: string | number;
}

/** What a client that joins gets to know about a room with history. */
export interface JoinedHistory {
  epoch: string;
  /** The newest offset. The next message gets the next one. */
  offset: number;
  /** True: the missed messages follow. False: none of them does. Left out if the client gave no place. */
  recovered?: boolean;
  /** Why nothing follows. */
  reason?: RefusalReason;
  /** How many messages were published since the given place. */
  missed: number;
}

/** The accepted data of a request to join, for the reply. */
export interface Joined extends Omit<JoinRequest, keyof Resumption | keyof PresenceRequest> {
  history?: JoinedHistory;
  /** Who is in the room, the client included. */
  presence?: RoomPresence;
}

export interface JoinReply {
  success: true;
  data: Joined;
}

/** A request to join. */
export interface Asked extends Pick<RouteCall, 'throwIfSettled'> {
  /** Replies in this turn, before anything that follows the reply. The result of the join is dropped then. */
  answer(reply: JoinReply): void;
}

export interface JoinRoomsHost {
  /** Milliseconds that one room may take. */
  timeoutMs: number;
  clock: Timer;
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

/** Joins the rooms, some at the same time. An error of one doesn't affect the others. */
export async function* joinRooms(rooms: unknown[], call: RouteCall, host: JoinRoomsHost): AsyncGenerator<RoomPart> {
  const underWay = new Set<Promise<void>>();
  const parts: RoomPart[] = [];
  const start = (room: unknown): void => {
    const joining = joinOne(room, call, host).then((part) => {
      underWay.delete(joining);
      if (part) parts.push(part);
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

/** Never rejects. @returns undefined when it was answered already */
async function joinOne(
  room: unknown,
  call: RouteCall,
  { join, timeoutMs, clock, failed }: JoinRoomsHost,
): Promise<RoomPart | undefined> {
  const given = (room as { roomName?: unknown } | null | undefined)?.roomName;
  const roomName = typeof given === 'string' ? given : null;
  const deadline = new Deadline(clock, timeoutMs);
  let isAnswered = false;
  const asked: Asked = {
    answer(reply) {
      isAnswered = true;
      void call.peer.emit(call, { roomName, ...reply });
    },
    throwIfSettled() {
      call.throwIfSettled();
      if (deadline.isOver) throw new TimeoutError('Joining the room', timeoutMs);
    },
  };
  try {
    const reply = await deadline.race(join(room, asked));
    if (reply === TIMED_OUT) throw new TimeoutError('Joining the room', timeoutMs);
    return isAnswered ? undefined : { roomName, ...reply };
  } catch (thrown) {
    const { code, error, details, isMeantForPeer } = describeError(thrown);
    if (!isMeantForPeer && !(thrown instanceof ConnectionError)) failed(thrown, 'system/joinRooms');
    return { roomName, error: { code, error, ...(details !== undefined && { details }) } };
  } finally {
    deadline.cancel();
  }
}
