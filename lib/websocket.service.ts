import { Logger } from '@nestjs/common';
import { Emitter } from './cluster/emitter.js';
import { notPublished } from './cluster/redis-failure.js';
import type { RedisInstanceLike } from './cluster/redis-source.js';
import { type Farewell, farewellOf } from './deprecated.js';
import { InvalidOptionsError, InvalidStateError, RoomNameInvalidError } from './errors.js';
import { composePublisher } from './history/compose-publisher.js';
import { HistoryRules, type HistoryRuleOptions, historyFlaws } from './history/history-options.js';
import type { HistoryPage, HistoryQuery, PublishOptions, RoomPlaces, RoomPublisher } from './history/room-publisher.js';
import type { Appended, RoomLog } from './history/room-log.js';
import { CloseCode } from './protocol/close-codes.js';
import type { Audience, SendOptions } from './protocol/delivery.js';
import type { RoomPosition, WebSocketMessage } from './protocol/message.js';
import { errorOf } from './protocol/thrown.js';
import { OPTIONS } from './options/options.js';
import { emitterSender } from './outbound/emitter-sender.js';
import type { PresentUser } from './presence/room-view.js';
import type { Sender } from './outbound/sender.js';
import { isRoomName } from './protocol/names.js';
import { SYSTEM } from './system.js';
import type { WebSocketServer } from './server.js';

/** How a `WebSocketService` that is created by hand sends: through a server, or through Redis alone. */
export interface WebSocketServiceOptions {
  /** Sends through this server: to its own clients at once, to other nodes through Redis. */
  webSocketServer?: WebSocketServer;
  /**
   * Without a server: publishes with this ioredis connection, or with its `publisherClient`. For a process without sockets.
   * Close the connection yourself.
   */
  redisInstance?: RedisInstanceLike | { publisherClient: RedisInstanceLike };
  /** Accepted for the PXL framework. Each process has a random id of its own. */
  workerId?: string;
  /** The `prefix` of the nodes. @default 'pxl' */
  prefix?: string;
  /** Without a server: the rooms with history, with the same rules as the nodes: `{ history: [{ match, … }] }`. @default none */
  rooms?: { history?: HistoryRuleOptions[]; log?: RoomLog };
}

/**
 * Sends messages from anywhere in an application, or from a process without sockets. Scope of every method: the whole
 * cluster. Each promise resolves when the message is handed to the sockets of this node and to Redis. That doesn't
 * confirm its arrival. It rejects if Redis doesn't take the message or doesn't say so: while it can't be reached, or when
 * more than `delivery.maxBusBytes` wait. This node's own clients have the message then, and `WebSocketServer.status` counts it.
 * This rejection needs no handler.
 * @throws {InvalidMessageError} (each method) for an invalid `type` or `action`
 * @throws {NotSerializableError} (each method) for data without a JSON form, or that JSON would change
 * @throws {NotPublishedError} (each method) when Redis didn't take the message, or didn't answer: see `mayHaveArrived`
 */
export class WebSocketService {
  readonly #sender: Sender;

  /** Inside a Nest application, inject it instead. @throws {InvalidStateError} without a server or a connection */
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
   * Scope: cluster. Broadcasts `{ type: 'error', action, data: { error } }` with the message of an `Error`, never its
   * stack. It is a message to everybody, not the answer to a request: it has no code.
   */
  sendErrorMessage(action: string, error: unknown): Promise<void> {
    return this.broadcast({ type: 'error', action, data: { error: error instanceof Error ? error.message : error } });
  }

  /** Scope: cluster. Raises an event for subscribers, e.g. `WebSocketRedisSubscriberEvent.QueueJobCompleted`. Clients don't get it. */
  publish(channel: string, data: unknown): Promise<void> {
    return handedOver(() => this.#sender.emit(channel, data));
  }

  /** Scope: cluster. Closes a client's connection, on whichever node it is. Ignores an unknown id. */
  disconnectClient(clientId: string, { code, reason }: Farewell = {}): Promise<void> {
    return handedOver(() => this.#sender.disconnect(clientId, code, reason));
  }

  /** Scope: cluster. Closes every connection of a user within a second. It doesn't revoke the user's token. */
  disconnectUser(userId: string | number, farewell?: Farewell): Promise<void>;
  /** @deprecated Write `disconnectUser(userId, { code, reason })`. */
  disconnectUser(userId: string | number, code?: number, reason?: string): Promise<void>;
  disconnectUser(userId: string | number, given?: Farewell | number, text?: string): Promise<void> {
    const { code = CloseCode.Kicked, reason = '' } = farewellOf(given, text);
    return handedOver(() => this.#sender.disconnectUser(userId, code, reason));
  }

  /**
   * Scope: cluster. Publishes to a room with history (`rooms.history`). The message has a place in the room's log
   * before anybody gets it, and a member that is away gets it when it comes back. `sendToRooms()` does the same for
   * such a room.
   * @param options.key publishes only once within `keyTtlMs`, however often this is called
   * @param options.version a growing number. In `last` mode, a version that isn't newer than the kept one is ignored
   * @returns the place of the message; `isDuplicate` if its key or version was there before
   * @throws {LogUnavailableError} UNAVAILABLE: nothing was stored, nobody gets it
   * @throws {UnknownOutcomeError} UNKNOWN_OUTCOME: it may have been stored. Publish it again with the same key
   * @throws {KeyReusedError} KEY_REUSED
   * @throws {EntryTooLargeError} MESSAGE_TOO_LARGE
   * @throws {InvalidStateError} for a room without history
   */
  async publishToRoom(roomName: string, message: WebSocketMessage, options?: PublishOptions): Promise<Appended> {
    return this.#historyOf(roomName).publish(roomName, message, options);
  }

  /**
   * Scope: cluster. Publishes to several rooms with history. A member of two of them gets two copies.
   * @returns the place in each room, or the error of that room
   * @throws like `publishToRoom()`, if all of them failed
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
   * Scope: cluster. The newest place of a room with history. Read it before you load a page's data: a client that joins with this
   * place as `since` misses nothing that is published meanwhile.
   * @throws {LogUnavailableError} @throws {InvalidStateError} for a room without history
   */
  async position(roomName: string): Promise<RoomPosition> {
    return this.#historyOf(roomName).position(roomName);
  }

  /**
   * Scope: cluster. Reads the kept messages of a room, at most 100 at a time.
   * @throws {LogUnavailableError}
   * @throws {InvalidStateError} for a room without history
   */
  async history(roomName: string, query: HistoryQuery = {}): Promise<HistoryPage> {
    return this.#historyOf(roomName).page(roomName, query);
  }

  /**
   * Scope: cluster. Deletes all kept messages of a room. Its members get `system/roomReset` and start again.
   * @returns the place where the room starts again
   * @throws {LogUnavailableError} @throws {UnknownOutcomeError}
   * @throws {InvalidStateError} for a room without history
   */
  async clearHistory(roomName: string): Promise<RoomPosition> {
    return this.#historyOf(roomName).clear(roomName);
  }

  /**
   * Scope: cluster. Reads who is in a room with presence (the option `presence`): each user once, however many connections it has.
   * @throws {PresenceUnavailableError} @throws {InvalidStateError} for a room without it, and in a process without sockets
   */
  async presence(roomName: string): Promise<{ total: number; users: PresentUser[] }> {
    if (!isRoomName(roomName)) throw new RoomNameInvalidError();
    const { presence } = this.#sender;
    if (presence?.ruleOf(roomName)) return presence.read(roomName);
    throw new InvalidStateError(
      `The room "${roomName}" has no presence here. Give the server a rule that matches it: presence: [{ match: 'chat:*' }].`,
    );
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
 * A mistake of the caller stays an unhandled rejection. A failure of Redis doesn't: it must not end a process that
 * doesn't await its messages.
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
    (thrown: unknown) => {
      throw notPublished(thrown);
    },
  );
  handed.catch(() => undefined); // counted; callers that await it get the rejection
  return handed;
}

/** A process without a server reports errors to the log. */
const logged = (error: unknown): void => new Logger('WebSocketService').error(errorOf(error).message);

function senderOf({
  webSocketServer,
  redisInstance,
  prefix = OPTIONS.prefix.default,
  rooms: { history = [], log } = {},
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
  const own = { connection, prefix, isForeign: true, log };
  const publisher = composePublisher(own, new HistoryRules(history), logged, SYSTEM);
  return emitterSender(new Emitter(connection, prefix, SYSTEM), publisher);
}
