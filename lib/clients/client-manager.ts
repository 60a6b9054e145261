import type { WebSocket } from 'ws';
import type { ConnectedClient } from '../decorators/connected-client.js';
import type { WebSocketUser } from '../protocol/message.js';
import { type Farewell, sayDeprecated } from '../deprecated.js';
import { ClientNotFoundError } from '../errors.js';
import { CloseCode, fitReason, isSendableCloseCode } from '../protocol/close-codes.js';
import { type NewClient, type ClientSurroundings, keepableUser, RegisteredClient } from './registered-client.js';

/** Told of every change, after it happened. */
export interface ClientListener {
  added?(client: RegisteredClient): void;
  removed?(client: RegisteredClient): void;
  identified?(client: RegisteredClient, before: WebSocketUser | null): void;
  updated?(client: RegisteredClient, key: string, data: unknown): void;
  /** Closes the socket and forgets the client. */
  disconnect?(client: RegisteredClient, code: number, reason: string): void;
  /** The same for a client that isn't known here. */
  disconnectUnknown?(clientId: string, code: number, reason: string): void;
  /** The public client list may have changed. `isWanted`: it is to be pushed in any case. */
  listChanged?(event?: string, isWanted?: boolean): void;
}

export interface ClientManagerOptions extends Partial<ClientSurroundings> {
  listener?: ClientListener;
}

/** Of a manager that was made by hand. */
const ALONE: ClientSurroundings = {
  roomsOf: () => [],
  publicFields: ['clientId'],
  isPublicRoom: () => true,
  send: (clientId) => {
    throw new ClientNotFoundError(clientId);
  },
};

/** The connected clients and what is known of them. Every lookup is O(1) or O(its result). */
export class WebSocketClientManager {
  readonly #clients = new Map<string, RegisteredClient>();
  readonly #idsOfUser = new Map<string, Set<string>>();
  #idOfSocket = new WeakMap<WebSocket, string>();
  readonly #surroundings: ClientSurroundings;
  readonly #listener: ClientListener;

  constructor({ listener = {}, ...surroundings }: ClientManagerOptions = {}) {
    this.#surroundings = { ...ALONE, ...surroundings };
    this.#listener = listener;
  }

  /** How many clients are connected. */
  get size(): number {
    return this.#clients.size;
  }

  /**
   * Adds a client; one with the same id is replaced.
   * @param record.lastActivity milliseconds since the epoch
   * @param record.ws null for a client of another node
   * @throws {NotSerializableError} for a user whose payload has no JSON form
   */
  addClient(record: NewClient): RegisteredClient {
    const client = new RegisteredClient(record, this.#surroundings);
    this.removeClient(record.clientId);
    this.#clients.set(client.clientId, client);
    if (client.ws) this.#idOfSocket.set(client.ws, client.clientId);
    this.#indexUser(client);
    this.#listener.added?.(client);
    this.#listener.listChanged?.('connected');
    return client;
  }

  /** Forgets a client; its socket is left as it is. A no-op for an unknown id. */
  removeClient(clientId: string): void {
    const client = this.#clients.get(clientId);
    if (!client) return;
    this.#clients.delete(clientId);
    if (client.ws) this.#idOfSocket.delete(client.ws);
    this.#unindexUser(client);
    this.#listener.removed?.(client);
    this.#listener.listChanged?.('disconnected');
  }

  /** @param params.requireWs only a client whose socket is on this node. @default false */
  getClient({ clientId, requireWs = false }: { clientId: string; requireWs?: boolean }): ConnectedClient | undefined {
    const client = this.#clients.get(clientId);
    return requireWs && !client?.ws ? undefined : client;
  }

  getClientId({ ws }: { ws: WebSocket }): string | undefined {
    return this.#idOfSocket.get(ws);
  }

  /** @param params.userType only those whose `userType` (metadata, or else of the user's payload) is this */
  getClients({ userType }: { userType?: string } = {}): ConnectedClient[] {
    const clients = [...this.#clients.values()];
    if (userType === undefined) return clients;
    return clients.filter((client) => (client['userType'] ?? client.user?.payload?.['userType']) === userType);
  }

  /** The connections of a user. */
  getUserClients({ userId }: { userId: string | number }): ConnectedClient[] {
    return this.#pick(this.#idsOfUser.get(String(userId)) ?? []);
  }

  /**
   * Stores metadata with a client, readable as `client[key]` on every node. A no-op for an unknown id.
   * @param params.data its JSON form is kept: a `Date` becomes its ISO text. `undefined` removes the key everywhere.
   * @throws {ReservedKeyError} for a key that belongs to the module (`ws`, `clientId`, `user`, …) or to JavaScript
   * @throws {NotSerializableError} for what has no JSON form (a BigInt, a cycle, a function, a `Map`, bytes, …)
   */
  updateClient({ clientId, key, data }: { clientId: string; key: string; data: unknown }): void {
    const client = this.#clients.get(clientId);
    if (!client) return;
    const kept = client.setMetadata(key, data);
    this.#listener.updated?.(client, key, kept);
    if (this.#surroundings.publicFields.includes(key)) this.#listener.listChanged?.('updated');
  }

  /**
   * Says who a client is. Not for what a client claims of itself: `joinRoom()` decides that.
   * @param params.user its payload is kept in its JSON form, as metadata is
   * @throws {NotSerializableError}
   */
  setUser({ clientId, user: given }: { clientId: string; user: WebSocketUser | null }): void {
    const client = this.#clients.get(clientId);
    if (!client) return;
    const user = keepableUser(given);
    const before = client.user;
    this.#unindexUser(client);
    client.user = user;
    this.#indexUser(client);
    this.#listener.identified?.(client, before);
    this.#listener.listChanged?.('updated');
  }

  /** Scope: cluster. Closes a client's socket and forgets the client at once. A no-op for an unknown id. */
  disconnectClient(clientId: string, farewell?: Farewell): void;
  /** @deprecated Write `disconnectClient(clientId, { code, reason })`. */
  disconnectClient(params: { clientId: string } & Farewell): void;
  disconnectClient(given: string | ({ clientId: string } & Farewell), farewell: Farewell = {}): void {
    if (typeof given === 'string') return this.#disconnect(given, farewell);
    sayDeprecated(
      'disconnectClient({ clientId, code, reason })',
      'Write "disconnectClient(clientId, { code, reason })".',
    );
    this.#disconnect(given.clientId, given);
  }

  #disconnect(clientId: string, { code, reason = '' }: Farewell): void {
    const client = this.#clients.get(clientId);
    const sendable = code !== undefined && isSendableCloseCode(code) ? code : CloseCode.Kicked;
    if (!client) {
      this.#listener.disconnectUnknown?.(clientId, sendable, fitReason(reason));
      return;
    }
    if (this.#listener.disconnect) {
      this.#listener.disconnect(client, sendable, fitReason(reason));
      return;
    }
    client.ws?.close(sendable, fitReason(reason));
    this.removeClient(clientId);
  }

  /**
   * Pushes the public client list to every client, together with other changes of the same moment.
   * @param event what happened, told to the clients. @default 'updated'
   */
  broadcastClientList(event = 'updated'): void {
    this.#listener.listChanged?.(event, true);
  }

  /** Forgets every client without closing a socket. */
  cleanup(): void {
    this.#clients.clear();
    this.#idsOfUser.clear();
    this.#idOfSocket = new WeakMap();
  }

  #pick(clientIds: Iterable<string>): ConnectedClient[] {
    const clients: ConnectedClient[] = [];
    for (const clientId of clientIds) {
      const client = this.#clients.get(clientId);
      if (client) clients.push(client);
    }
    return clients;
  }

  #indexUser({ user, clientId }: RegisteredClient): void {
    if (!user) return;
    const key = String(user.userId);
    const ids = this.#idsOfUser.get(key);
    if (ids) ids.add(clientId);
    else this.#idsOfUser.set(key, new Set([clientId]));
  }

  #unindexUser({ user, clientId }: RegisteredClient): void {
    if (!user) return;
    const key = String(user.userId);
    const ids = this.#idsOfUser.get(key);
    ids?.delete(clientId);
    if (ids?.size === 0) this.#idsOfUser.delete(key);
  }
}
