import type { WebSocket } from 'ws';
import type { WebSocketUser } from '../protocol/message.js';
import type { RegisteredClient } from './registered-client.js';

const NONE: ReadonlySet<RegisteredClient> = new Set();

/** The connected clients by id, socket and user. No I/O; every lookup is O(1) or O(its result). */
export class ClientTable {
  readonly #clients = new Map<string, RegisteredClient>();
  readonly #ofUser = new Map<string, Set<RegisteredClient>>();
  /** The key under which each client is stored. The application may have changed `client.user` since. */
  readonly #keyOf = new Map<RegisteredClient, string>();
  #ofSocket = new WeakMap<WebSocket, RegisteredClient>();

  get size(): number {
    return this.#clients.size;
  }

  get(clientId: string): RegisteredClient | undefined {
    return this.#clients.get(clientId);
  }

  bySocket(ws: WebSocket): RegisteredClient | undefined {
    return this.#ofSocket.get(ws);
  }

  all(): Iterable<RegisteredClient> {
    return this.#clients.values();
  }

  ofUser(userId: string | number): Iterable<RegisteredClient> {
    return this.#ofUser.get(String(userId)) ?? NONE;
  }

  add(client: RegisteredClient): void {
    this.#clients.set(client.clientId, client);
    if (client.ws) this.#ofSocket.set(client.ws, client);
    this.#index(client);
  }

  /** @returns the removed client */
  remove(clientId: string): RegisteredClient | undefined {
    const client = this.#clients.get(clientId);
    if (!client) return undefined;
    this.#clients.delete(clientId);
    if (client.ws) this.#ofSocket.delete(client.ws);
    this.#unindex(client);
    return client;
  }

  /** @returns the user before */
  identify(client: RegisteredClient, user: WebSocketUser | null): WebSocketUser | null {
    const before = client.user;
    this.#unindex(client);
    client.user = user;
    this.#index(client);
    return before;
  }

  clear(): void {
    this.#clients.clear();
    this.#ofUser.clear();
    this.#keyOf.clear();
    this.#ofSocket = new WeakMap();
  }

  #index(client: RegisteredClient): void {
    if (!client.user) return;
    const key = String(client.user.userId);
    this.#keyOf.set(client, key);
    const clients = this.#ofUser.get(key);
    if (clients) clients.add(client);
    else this.#ofUser.set(key, new Set([client]));
  }

  #unindex(client: RegisteredClient): void {
    const key = this.#keyOf.get(client);
    if (key === undefined) return;
    this.#keyOf.delete(client);
    const clients = this.#ofUser.get(key);
    clients?.delete(client);
    if (clients?.size === 0) this.#ofUser.delete(key);
  }
}
