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
import { notInRoom, readRoom, type RoomRequest } from './room-request.js';
import type { RouteCall } from './route-call.js';
import type { RouteHandler } from './router.js';

/** The message that members get for a `system/publish`. */
const PUBLICATION = { type: 'system', action: 'publication' } as const;

export interface PublishServices {
  /** Undefined if clients may not publish by themselves. */
  authorizePublish: AuthorizePublish | undefined;
  /** Undefined without rooms with history. */
  history: Pick<RoomPublisher, 'ruleOf' | 'publish'> | undefined;
  isIn(client: ConnectedClient, roomName: string): boolean;
  /** Sends to a room without history. */
  deliver(delivery: Delivery): Promise<unknown>;
  /** Makes a handler that runs once for each key. The handler must call `call.try.claim()`. */
  once(handler: RouteHandler): RouteHandler;
}

export interface PublishReply {
  success: true;
  /** In a room with history, with the place of the message. */
  data: { roomName: string; isDuplicate?: boolean } & Partial<RoomPosition>;
}

/** The handler of `system/publish`. */
export function publishRoute(services: PublishServices): RouteHandler {
  const publish: RouteHandler = (call) => publishAsMember(services, call, readRoom(call.data));
  return services.authorizePublish ? services.once(publish) : publish;
}

/** @throws {PeerError} */
async function publishAsMember(
  { authorizePublish, history, isIn, deliver }: PublishServices,
  call: RouteCall,
  given: RoomRequest,
): Promise<PublishReply | KeptReply> {
  const client = call.client as ConnectedClient;
  const { roomName, data } = given;
  const key = readKey(given['key']);
  if (!isIn(client, roomName)) throw notInRoom();
  if ((await authorizePublish?.({ client, roomName, data })) !== true)
    throw new PeerError(ErrorCode.Forbidden, 'You may not publish to this room.');
  call.throwIfSettled();
  if (!isIn(client, roomName)) throw notInRoom(); // it may have left meanwhile
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
  // Members must know which room it is for. In a room with history, the place says it.
  const frame = encode({ ...PUBLICATION, data, at: { room: roomName } });
  const except = echo === false ? [client.clientId] : undefined;
  await deliver({ audience: { kind: 'rooms', roomNames: [roomName] }, except, frame });
  return { success: true, data: { roomName } };
}

function readKey(key: unknown): string | undefined {
  if (key === undefined || isKey(key)) return key;
  throw new PeerError(ErrorCode.BadRequest, '"key" must be a text of 1–128 characters.');
}

/** Undefined: the `echo` of the member's join counts. */
function readEcho(echo: unknown): boolean | undefined {
  if (echo === undefined || typeof echo === 'boolean') return echo;
  throw new PeerError(ErrorCode.BadRequest, '"echo" must be true or false.');
}

/** The same key of another sender is another key, and so is the same key that the application chose. */
const keyOf = ({ peer }: RouteCall, key: string): string => `publish:${digestOf(`${peer.caller?.owner}\n${key}`)}`;
