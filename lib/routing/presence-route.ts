import type { ConnectedClient } from '../decorators/connected-client.js';
import { PeerError } from '../errors.js';
import type { Presence } from '../presence/presence.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { AuthorizePresence } from './room-authorizer.js';
import { notInRoom, type RoomRequest } from './room-request.js';
import type { RouteCall } from './route-call.js';

export interface PresenceServices {
  /** Undefined without rooms with presence. */
  presence: Pick<Presence, 'ruleOf' | 'update'> | undefined;
  /** Undefined where anybody may say anything of itself. */
  authorizePresence: AuthorizePresence | undefined;
  isIn(client: ConnectedClient, roomName: string): boolean;
}

/** @param data what the client wants to say of itself. Undefined if nothing @throws {PeerError} */
export async function authorizePresenceOf(
  { presence, authorizePresence }: PresenceServices,
  client: ConnectedClient,
  roomName: string,
  data: unknown,
): Promise<void> {
  if (!authorizePresence || data === undefined || !presence?.ruleOf(roomName)) return;
  const isAllowed: unknown = await authorizePresence({ client, roomName, data });
  if (isAllowed !== true) throw new PeerError(ErrorCode.Forbidden, 'You may not say this of yourself in this room.');
}

/** Answers `system/updatePresence`. @throws {PeerError} */
export async function updatePresence(
  services: PresenceServices,
  call: RouteCall,
  { roomName, data = null }: RoomRequest,
): Promise<{ success: true; data: { roomName: string } }> {
  const { presence, isIn } = services;
  const client = call.client as ConnectedClient;
  if (!isIn(client, roomName)) throw notInRoom();
  if (!presence?.ruleOf(roomName)) throw new PeerError(ErrorCode.NotFound, 'This room has no presence.');
  await authorizePresenceOf(services, client, roomName, data);
  call.throwIfSettled();
  // It may have left meanwhile.
  if (!presence.update(client.clientId, roomName, data)) throw notInRoom();
  return { success: true, data: { roomName } };
}
