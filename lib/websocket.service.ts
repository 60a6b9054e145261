import { Logger } from '@nestjs/common';
import { Emitter } from './cluster/emitter.js';
import type { RedisInstanceLike } from './cluster/redis-source.js';
import { type Farewell, farewellOf } from './deprecated.js';
import {
  InvalidOptionsError,
  InvalidStateError,
  NotPublishedError,
  PxlWebSocketError,
  RoomNameInvalidError,
} from './errors.js';
import { composePublisher } from './history/compose-publisher.js';
import { HistoryRules, type HistoryRuleOptions, historyFlaws } from './history/history-options.js';
import type { HistoryPage, HistoryQuery, PublishOptions, RoomPlaces, RoomPublisher } from './history/room-publisher.js';
import type { Appended } from './history/room-log.js';
import type { RoomPosition } from './protocol/message.js';
import { CloseCode } from './protocol/close-codes.js';
import type { Audience } from './protocol/delivery.js';
import type { WebSocketMessage } from './protocol/message.js';
import { errorOf } from './protocol/thrown.js';
import { OPTIONS } from './options/options.js';
import { emitterSender } from './outbound/emitter-sender.js';
import type { SendOptions } from './protocol/delivery.js';
import type { Sender } from './outbound/sender.js';
import { isRoomName } from './protocol/names.js';
import type { WebSocketServer } from './server.js';

export interface WebSocketServiceOptions {
  /** Sends through this server: to its own clients at once, to other nodes through Redis. */
  webSocketServer?: WebSocketServer;
  /**
   * Without a server: publishes with this ioredis connection, or with its `publisherClient`, for a process without sockets.
   * You close it yourself.
   */
  redisInstance?: RedisInstanceLike | { publisherClient: RedisInstanceLike };
  /** Accepted for the PXL framework. Each process has a random id of its own. */
  workerId?: string;
  /** The `prefix` of the nodes. @default 'pxl' */
  prefix?: string;
  /** The rooms that keep what is published, as the nodes have them: `{ history: [{ match, … }] }`. @default none */
  rooms?: { history?: HistoryRuleOptions[] };
}

/**
 * Sends messages from anywhere in an application, or from a process without sockets. Scope of every method: the whole cluster.
 * Each promise resolves once the message is handed to the sockets of this node and to Redis; arrival isn't confirmed. It
 * rejects when the message can't be handed to Redis: while Redis is away, or when more than `delivery.maxBusBytes` wait. Then
 * this node's own clients have the message, `WebSocketServer.status` counts it, and an unhandled rejection doesn't end the
 * process.
 * @throws {InvalidMessageError} (each method) for an invalid `type` or `action`
 * @throws {NotSerializableError} (each method) for data without a JSON form, or that JSON would change
 * @throws {NotPublishedError} (each method) when the message isn't handed to Redis
 */
export class WebSocketService {
  readonly #sender: Sender;

  /** Inside a Nest application, inject it instead. @throws {InvalidStateError} without anything to send with */
  constructor(options: WebSocketServiceOptions | { sender: Sender }) {
    this.#sender = 'sender' in options ? options.sender : senderOf(options);
  }

  /** Scope: cluster. Sends to every connected client. */
  broadcast(message: WebSocketMessage, options?: SendOptions): Promise<void> {
    return this.#send({ kind: 'all' }, message, options);
  }

  /** Scope: cluster. Sends to these clients, once each. Ids that aren't connected are ignored. */
  sendToClients(clientIds: readonly string[], message: WebSocketMessage, options?: SendOptions): Promise<void> {
    return this.#send({ kind: 'clients', clientIds }, message, options);
  }

  /** Scope: cluster. Sends to the members of these rooms; a client in two of them gets one copy. */
  sendToRooms(roomNames: readonly string[], message: WebSocketMessage, options?: SendOptions): Promise<void> {
    return this.#send({ kind: 'rooms', roomNames }, message, options);
  }

  /** Scope: cluster. Sends to every connection of these users. `7` and `'7'` are the same user. */
  sendToUsers(userIds: readonly (string | number)[], message: WebSocketMessage, options?: SendOptions): Promise<void> {
    return this.#send({ kind: 'users', userIds }, message, options);
  }

  /** Scope: cluster. Broadcasts `{ type: 'user', action, data }`. */
  sendUserMessage(action: string, data?: unknown): Promise<void> {
    return this.broadcast({ type: 'user', action, data });
  }

  /** Scope: cluster. Broadcasts `{ type: 'system', action, data }`. */
  sendSystemMessage(action: string, data?: unknown): Promise<void> {
    return this.broadcast({ type: 'system', action, data });
  }

  /**
   * Scope: cluster. Broadcasts `{ type: 'error', action, data: { error } }`: the message of an `Error`, never its stack.
   */
  sendErrorMessage(action: string, error: unknown): Promise<void> {
    return this.broadcast({ type: 'error', action, data: { error: error instanceof Error ? error.message : error } });
  }

  /** Scope: cluster. Raises an event for the subscribers, e.g. `WebSocketRedisSubscriberEvent.QueueJobCompleted`. */
  publish(channel: string, data: unknown): Promise<void> {
    return handedOver(() => this.#sender.emit(channel, data));
  }

  /** Scope: cluster. Closes a client's connection, on whichever node it is. Ignores an unknown id. */
  disconnectClient(clientId: string, { code, reason }: Farewell = {}): Promise<void> {
    return handedOver(() => this.#sender.disconnect(clientId, code, reason));
  }

  /** Scope: cluster. Closes every connection of a user within a second. */
  disconnectUser(userId: string | number, farewell?: Farewell): Promise<void>;
  /** @deprecated Write `disconnectUser(userId, { code, reason })`. */
  disconnectUser(userId: string | number, code?: number, reason?: string): Promise<void>;
  disconnectUser(userId: string | number, given?: Farewell | number, text?: string): Promise<void> {
    const { code = CloseCode.Kicked, reason = '' } = farewellOf(given, text);
    return handedOver(() => this.#sender.disconnectUser(userId, code, reason));
  }

  /**
   * Scope: cluster. Publishes to a room that keeps its messages (`rooms.history`): it has a place before anybody sees it, and
   * a member that is away gets it when it comes back. `sendToRooms()` of such a room does the same.
   * @param options.key the same key, within `keyTtlMs`: published once, however often this is called
   * @param options.version a number that grows; in `last` mode what isn't newer than the kept value is left out
   * @returns its place; `isDuplicate` when the key, or the version, was there before
   * @throws {LogUnavailableError} UNAVAILABLE: nothing was stored, nobody gets it
   * @throws {UnknownOutcomeError} UNKNOWN_OUTCOME: it may have been stored. Publish it again with the same key
   * @throws {KeyReusedError} KEY_REUSED @throws {EntryTooLargeError} MESSAGE_TOO_LARGE
   * @throws {InvalidStateError} for a room that keeps nothing
   */
  async publishToRoom(roomName: string, message: WebSocketMessage, options?: PublishOptions): Promise<Appended> {
    return this.#historyOf(roomName).publish(roomName, message, options);
  }

  /**
   * Scope: cluster. Publishes to several such rooms: one publication for each, and one copy for a member of each.
   * @returns for each room its place, or why it wasn't published there
   * @throws as `publishToRoom()`, when it went wrong for all of them
   */
  async publishToRooms(
    roomNames: readonly string[],
    message: WebSocketMessage,
    options?: PublishOptions,
  ): Promise<RoomPlaces> {
    if (roomNames.length === 0) return {};
    const [publisher] = roomNames.map((roomName) => this.#historyOf(roomName));
    return (publisher as RoomPublisher).publishToRooms(roomNames, message, options);
  }

  /**
   * Scope: cluster. The newest place of a room that keeps its messages. Read it before you load a page's data: a client that
   * joins with `since` set to it misses nothing that came while you loaded.
   * @throws {LogUnavailableError} @throws {InvalidStateError} for a room that keeps nothing
   */
  async position(roomName: string): Promise<RoomPosition> {
    return this.#historyOf(roomName).position(roomName);
  }

  /**
   * Scope: cluster. Reads what a room keeps, at most 100 at a time.
   * @throws {LogUnavailableError} @throws {InvalidStateError} for a room that keeps nothing
   */
  async history(roomName: string, query: HistoryQuery = {}): Promise<HistoryPage> {
    return this.#historyOf(roomName).page(roomName, query);
  }

  /**
   * Scope: cluster. Forgets everything that a room keeps. Its members are told (`system/roomReset`) and begin anew.
   * @returns where it begins
   * @throws {LogUnavailableError} @throws {UnknownOutcomeError} @throws {InvalidStateError} for a room that keeps nothing
   */
  async clearHistory(roomName: string): Promise<RoomPosition> {
    return this.#historyOf(roomName).clear(roomName);
  }

  #historyOf(roomName: string): RoomPublisher {
    if (!isRoomName(roomName)) throw new RoomNameInvalidError();
    const { history } = this.#sender;
    if (history?.ruleOf(roomName)) return history;
    throw new InvalidStateError(
      `The room "${roomName}" keeps no messages. Give the server a rule that matches it: rooms: { history: [{ match: 'chat:*' }] }.`,
    );
  }

  #send(audience: Audience, message: WebSocketMessage, options: SendOptions | undefined): Promise<void> {
    return handedOver(() => this.#sender.send(audience, message, options));
  }
}

/**
 * A mistake of the caller stays an unhandled rejection. A failure of Redis doesn't: a process that doesn't await its publishes
 * must not end because Redis is away.
 */
function handedOver(send: () => Promise<unknown>): Promise<void> {
  let answer: Promise<unknown>;
  try {
    answer = send();
  } catch (error) {
    return Promise.reject(error);
  }
  const handed = answer.then(
    () => undefined,
    (error: unknown) => {
      throw isOwn(error) ? error : new NotPublishedError(errorOf(error).message, { cause: error });
    },
  );
  handed.catch(() => undefined); // it is counted, and rejects for callers that await it
  return handed;
}

/** A process without a server has nobody else to tell. */
const logged = (error: unknown): void => new Logger('WebSocketService').error(errorOf(error).message);

const isOwn = (error: unknown): boolean => error instanceof PxlWebSocketError;

function senderOf({
  webSocketServer,
  redisInstance,
  prefix = OPTIONS.prefix.default,
  rooms: { history = [] } = {},
}: WebSocketServiceOptions): Sender {
  if (webSocketServer) return webSocketServer.sender;
  if (!redisInstance) {
    throw new InvalidStateError(
      'WebSocketService has nothing to send with. Pass { webSocketServer }, or { redisInstance } in a process without sockets.',
    );
  }
  const flaws = [...historyFlaws(history, false)];
  if (flaws.length > 0) throw new InvalidOptionsError(flaws);
  const connection = ('publisherClient' in redisInstance ? redisInstance.publisherClient : redisInstance) as never;
  const publisher = composePublisher({ connection, prefix, isForeign: true }, new HistoryRules(history), logged);
  return emitterSender(new Emitter(connection, prefix), publisher);
}
