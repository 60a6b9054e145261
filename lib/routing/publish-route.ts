import type { ConnectedClient } from '../decorators/connected-client.js';
import { digestOf } from '../digest.js';
import { PeerError } from '../errors.js';
import type { RoomPublisher } from '../history/room-publisher.js';
import { encode } from '../json-value.js';
import type { Delivery } from '../protocol/delivery.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { RoomPosition } from '../protocol/message.js';
import { isKey } from '../protocol/names.js';
import type { AuthorizePublish } from './room-authorizer.js';
import type { KeptReply } from './kept-reply.js';
import type { RouteCall } from './route-call.js';

/** What members publish by themselves. */
const PUBLICATION = { type: 'system', action: 'publication' } as const;

export interface PublishServices {
  /** Undefined where nobody may. */
  authorizePublish: AuthorizePublish | undefined;
  /** Undefined where no room keeps what is published. */
  history: Pick<RoomPublisher, 'ruleOf' | 'publish'> | undefined;
  isIn(client: ConnectedClient, roomName: string): boolean;
  /** To a room that keeps nothing. */
  deliver(delivery: Delivery): Promise<unknown>;
}

export interface PublishReply {
  success: true;
  /** With its place in a room that keeps what is published. */
  data: { roomName: string; isDuplicate?: boolean } & Partial<RoomPosition>;
}

/**
 * Answers `system/publish` of a member.
 * @param call the client's
 * @param given what the client sent
 * @throws {PeerError}
 */
export async function publishAsMember(
  { authorizePublish, history, isIn, deliver }: PublishServices,
  call: RouteCall,
  given: Record<string, unknown> & { roomName: string },
): Promise<PublishReply | KeptReply> {
  const client = call.client as ConnectedClient;
  const { roomName, data } = given;
  const key = readKey(given['key']);
  if (!isIn(client, roomName)) throw new PeerError(ErrorCode.NotInRoom, 'Join the room first.');
  if ((await authorizePublish?.({ client, roomName, data })) !== true)
    throw new PeerError(ErrorCode.Forbidden, 'You may not publish to this room.');
  const echo = readEcho(given['echo']);
  if (history?.ruleOf(roomName)) {
    const options = { echo, ...(key !== undefined && { key: keyOf(call, key) }) };
    return {
      success: true,
      data: { roomName, ...(await history.publish(roomName, { ...PUBLICATION, data }, options, call)) },
    };
  }
  const kept = await call.try?.claim();
  if (kept) return kept;
  // Members must know which room it is for: no other message without a place says it.
  const frame = encode({ ...PUBLICATION, data, at: { room: roomName } });
  const except = echo === false ? [client.clientId] : undefined;
  await deliver({ audience: { kind: 'rooms', roomNames: [roomName] }, except, frame });
  return { success: true, data: { roomName } };
}

function readKey(key: unknown): string | undefined {
  if (key === undefined || isKey(key)) return key;
  throw new PeerError(ErrorCode.BadRequest, '"key" must be a text of 1–128 characters.');
}

/** Undefined: as the member joined. */
function readEcho(echo: unknown): boolean | undefined {
  if (echo === undefined || typeof echo === 'boolean') return echo;
  throw new PeerError(ErrorCode.BadRequest, '"echo" must be true or false.');
}

/** Another sender's equal key is another key, and so is one that the application chose. */
const keyOf = ({ peer }: RouteCall, key: string): string => `publish:${digestOf(`${peer.sender?.owner}\n${key}`)}`;
