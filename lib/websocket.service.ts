import { InvalidStateError } from './errors.js';
import type { Audience } from './protocol/delivery.js';
import type { WebSocketMessage } from './protocol/message.js';
import { encodeMessage } from './server/outgoing.js';
import type { WebSocketServer } from './server/websocket-server.js';

export interface WebSocketServiceOptions {
  webSocketServer?: WebSocketServer;
}

export interface SendOptions {
  /** Client ids that get no copy, e.g. the sender's. */
  except?: readonly string[];
}

/**
 * Sends messages from anywhere in an application. Scope of every method: the whole cluster. Each one resolves once the
 * message is handed to this node's sockets and to the bus, which says nothing about its arrival.
 * @throws {InvalidMessageError} (each method) for a `type` or `action` that breaks the rules
 * @throws {NotSerializableError} (each method) for data without a JSON form
 */
export class WebSocketService {
  readonly #server: WebSocketServer;

  /** Inside a Nest application, inject it. @throws {InvalidStateError} without a server */
  constructor({ webSocketServer }: WebSocketServiceOptions) {
    if (!webSocketServer) {
      throw new InvalidStateError('WebSocketService has no server to send with. Pass { webSocketServer }.');
    }
    this.#server = webSocketServer;
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

  async #send(audience: Audience, message: WebSocketMessage, { except }: SendOptions = {}): Promise<void> {
    await this.#server.deliver({ audience, except, frame: encodeMessage(message) });
  }
}
