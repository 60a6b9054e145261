import { PeerError, RoomNameInvalidError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { isRoomName } from '../protocol/names.js';

/** What a client sent about one room. */
export type RoomRequest = Record<string, unknown> & { roomName: string };

/** @throws {RoomNameInvalidError} */
export function readRoom(data: unknown): RoomRequest {
  const given = (typeof data === 'object' && data !== null ? data : {}) as Record<string, unknown>;
  if (!isRoomName(given['roomName'])) throw new RoomNameInvalidError();
  return given as RoomRequest;
}

/** Only members may ask this. */
export const notInRoom = (): PeerError => new PeerError(ErrorCode.NotInRoom, 'Join the room first.');
