import { Emitter } from './cluster/emitter.js';
import type { RedisInstanceLike } from './cluster/redis-source.js';
import { InvalidStateError } from './errors.js';
import type { Audience, Delivery } from './protocol/delivery.js';
import type { WebSocketMessage } from './protocol/message.js';
import { DEFAULTS } from './resolve-options.js';
import { encodeMessage } from './server/outgoing.js';
import type { WebSocketServer } from './server/websocket-server.js';

export interface WebSocketServiceOptions {
  /** Sends through this server: to its own sockets at once, to the other nodes by way of the bus. */
  webSocketServer?: WebSocketServer;
  /**
   * Without a server: publishes with this ioredis connection, or with its `publisherClient`, for a process that serves no
   * sockets. It stays yours: it is not closed.
   */
  redisInstance?: RedisInstanceLike | { publisherClient: RedisInstanceLike };
  /** Taken for the sake of the PXL framework; processes tell themselves apart by a random id. */
  workerId?: string;
  /** As in the options of the nodes. @default 'pxl' */
  prefix?: string;
}

export interface SendOptions {
  /** Client ids that get no copy, e.g. the sender's. */
  except?: readonly string[];
}

/** What a service sends with: a server, or an emitter. */
interface Sender {
  deliver(delivery: Delivery): Promise<void>;
  emit(channel: string, data: unknown): Promise<void>;
  disconnect(clientId: string, code: number | undefined, reason: string | undefined): Promise<void>;
}

/**
 * Sends messages from anywhere in an application, or from a process without sockets. Scope of every method: the whole
 * cluster. Each one resolves once the message is handed to this node's sockets and to the bus, which says nothing about its
 * arrival. While Redis is away a node serves its own sockets and counts the rest (`WebSocketServer.status`); a process
 * without sockets rejects.
 * @throws {InvalidMessageError} (each method) for a `type` or `action` that breaks the rules
 * @throws {NotSerializableError} (each method) for data without a JSON form
 */
export class WebSocketService {
  readonly #sender: Sender;

  /** Inside a Nest application, inject it. @throws {InvalidStateError} with nothing to send with */
  constructor(options: WebSocketServiceOptions | { sender: Sender }) {
    this.#sender = 'sender' in options ? options.sender : senderOf(options);
  }

  /** Sends to every connected client. */
  broadcast(message: WebSocketMessage, options?: SendOptions): Promise<void> {
    return this.#send({ kind: 'all' }, message, options);
  }

  /** Sends to these clients, once each; ids that are not connected are passed over. */
  sendToClients(clientIds: readonly string[], message: WebSocketMessage, options?: SendOptions): Promise<void> {
    return this.#send({ kind: 'clients', clientIds }, message, options);
  }

  /** Sends to the members of these rooms; a client in two of them gets one copy. */
  sendToRooms(roomNames: readonly string[], message: WebSocketMessage, options?: SendOptions): Promise<void> {
    return this.#send({ kind: 'rooms', roomNames }, message, options);
  }

  /** Sends to every connection of these users. `7` and `'7'` are the same user. */
  sendToUsers(userIds: readonly (string | number)[], message: WebSocketMessage, options?: SendOptions): Promise<void> {
    return this.#send({ kind: 'users', userIds }, message, options);
  }

  /** Broadcasts `{ type: 'user', action, data }`. */
  sendUserMessage(action: string, data?: unknown): Promise<void> {
    return this.broadcast({ type: 'user', action, data });
  }

  /** Broadcasts `{ type: 'system', action, data }`. */
  sendSystemMessage(action: string, data?: unknown): Promise<void> {
    return this.broadcast({ type: 'system', action, data });
  }

  /** Broadcasts `{ type: 'error', action, data: { error } }`: of an `Error` its message alone, never its stack. */
  sendErrorMessage(action: string, error: unknown): Promise<void> {
    return this.broadcast({ type: 'error', action, data: { error: error instanceof Error ? error.message : error } });
  }

  /** Raises an event for the subscribers of every node, e.g. `WebSocketRedisSubscriberEvent.QueueJobCompleted`. */
  publish(channel: string, data: unknown): Promise<void> {
    return this.#sender.emit(channel, data);
  }

  /** Closes a client's socket, wherever it is. A no-op for an unknown id. @param options.code @default 4010 */
  disconnectClient(clientId: string, { code, reason }: { code?: number; reason?: string } = {}): Promise<void> {
    return this.#sender.disconnect(clientId, code, reason);
  }

  async #send(audience: Audience, message: WebSocketMessage, { except }: SendOptions = {}): Promise<void> {
    await this.#sender.deliver({ audience, except, frame: encodeMessage(message) });
  }
}

function senderOf({ webSocketServer, redisInstance, prefix = DEFAULTS.prefix }: WebSocketServiceOptions): Sender {
  if (webSocketServer) return serverSender(webSocketServer);
  if (!redisInstance) {
    throw new InvalidStateError(
      'WebSocketService has nothing to send with. Pass { webSocketServer }, or { redisInstance } in a process without sockets.',
    );
  }
  const connection = 'publisherClient' in redisInstance ? redisInstance.publisherClient : redisInstance;
  return new Emitter(connection as never, prefix);
}

const serverSender = (server: WebSocketServer): Sender => ({
  deliver: (delivery) => server.deliver(delivery),
  emit: async (channel, data) => server.publish({ channel, data }),
  disconnect: async (clientId, code, reason) => server.clientManager.disconnectClient({ clientId, code, reason }),
});
