import type { WebSocket } from 'ws';
import type { ConnectedClient } from '../decorators/connected-client.js';
import { ClientNotFoundError, ReservedKeyError } from '../errors.js';
import { keepable } from '../json-value.js';
import type { BackpressureOptions } from '../protocol/delivery.js';
import type { WebSocketMessage, WebSocketUser } from '../protocol/message.js';
import { NO_PARAMS, type PathParams } from '../protocol/path-pattern.js';
import { isWellFormed } from '../protocol/text.js';
import { keepableUser } from './users.js';

/** Sends requests to a client, over its socket or through its node. */
export interface Asker {
  /** Known for a client of this node. */
  readonly presenceId?: string;
  ask(type: string, action: string, data: unknown, timeoutMs: number | undefined): Promise<unknown>;
}

/** What all clients share. */
export interface ClientSurroundings {
  roomsOf(clientId: string): string[];
  /** The fields that `client.toJSON()` and the public client list show. */
  readonly publicFields: readonly string[];
  /** True if other clients may see that a client is in this room. */
  isPublicRoom(roomName: string): boolean;
  send(clientId: string, message: WebSocketMessage, options?: BackpressureOptions): void;
}

/** The data of a new client. */
export interface NewClient {
  clientId: string;
  ws: WebSocket | null;
  lastActivity: number;
  user?: WebSocketUser | null;
  /** Known for a client of this node. */
  ip?: string | undefined;
  params?: PathParams;
}

/**
 * Names that `updateClient()` refuses: those of the module, and those that JavaScript uses (a client with a `then`
 * couldn't be awaited).
 */
const RESERVED = new Set([
  'clientId',
  'ws',
  'lastActivity',
  'user',
  'ip',
  'params',
  'roundTripMs',
  'roomName',
  'rooms',
  'request',
  'toJSON',
  'prototype',
  'then',
]);

/** A client in the registry. Its JSON contains only what other clients may see, so that nothing leaks by accident. */
export class RegisteredClient implements ConnectedClient {
  readonly clientId: string;
  readonly ws: WebSocket | null;
  lastActivity: number;
  user: WebSocketUser | null;
  readonly ip: string | undefined;
  readonly params: PathParams;
  roundTripMs: number | undefined = undefined;
  roomName: string | null = null;
  // oxlint-disable-next-line typescript/no-explicit-any -- metadata of the application's own types
  [key: string]: any;
  readonly #surroundings: ClientSurroundings;
  #asker: Asker | undefined;
  /** What `updateClient()` stored. The application may overwrite a property, but other nodes still get this value. */
  #metadata: Map<string, unknown> | undefined;

  constructor(record: NewClient, surroundings: ClientSurroundings) {
    this.clientId = record.clientId;
    this.ws = record.ws;
    this.lastActivity = record.lastActivity;
    this.user = keepableUser(record.user);
    this.ip = record.ip;
    this.params = record.params ?? NO_PARAMS;
    this.#surroundings = surroundings;
  }

  get rooms(): string[] {
    return this.#surroundings.roomsOf(this.clientId);
  }

  /** @param asker the connection with the socket, or a way to its node */
  serveBy(asker: Asker): void {
    this.#asker = asker;
  }

  get presenceId(): string | undefined {
    return this.#asker?.presenceId;
  }

  request<T>(type: string, action: string, data?: unknown, { timeoutMs }: { timeoutMs?: number } = {}): Promise<T> {
    if (!this.#asker) return Promise.reject(new ClientNotFoundError(this.clientId));
    return this.#asker.ask(type, action, data, timeoutMs) as Promise<T>;
  }

  send(message: WebSocketMessage, options?: BackpressureOptions): void {
    this.#surroundings.send(this.clientId, message, options);
  }

  get volatile(): { send(message: WebSocketMessage): void } {
    return { send: (message) => this.send(message, { volatile: true }) };
  }

  /** The public fields: those of `clientList.publicFields` that this client has. They never name a protected room. */
  toJSON(): Record<string, unknown> {
    const shown: Record<string, unknown> = {};
    for (const field of this.#surroundings.publicFields) {
      const value = this.#publicValue(field);
      if (value !== undefined && value !== null) shown[field] = value;
    }
    return shown;
  }

  #publicValue(field: string): unknown {
    const { isPublicRoom } = this.#surroundings;
    if (field === 'userId') return this.user?.userId;
    if (field === 'rooms') return this.rooms.filter(isPublicRoom);
    if (field === 'roomName') return this.roomName !== null && isPublicRoom(this.roomName) ? this.roomName : null;
    return this[field];
  }

  /**
   * Keeps the JSON form of a value. `undefined` removes the key.
   * @returns the kept value
   * @throws {ReservedKeyError} @throws {NotSerializableError}
   */
  setMetadata(key: string, data: unknown): unknown {
    const kept = RegisteredClient.keepable(key, data);
    this.#keep(key, kept);
    return kept;
  }

  // Static, because metadata can't have the name of a method.

  /** The JSON form of a value. @throws {ReservedKeyError} @throws {NotSerializableError} */
  static keepable(key: string, data: unknown): unknown {
    checkKey(key);
    return keepable(data, key);
  }

  /**
   * True if this primitive value is kept under this key. Objects never count: the application may have changed them.
   */
  static keeps(client: RegisteredClient, key: string, data: unknown): boolean {
    return (typeof data !== 'object' || data === null) && client.#metadata?.get(key) === data;
  }

  /**
   * Replaces all metadata with this, which came as JSON.
   * @param failed gets the error of a key that isn't allowed here; the key is skipped
   * @returns what is new
   */
  static adopt(
    client: RegisteredClient,
    metadata: Readonly<Record<string, unknown>>,
    failed: (error: unknown) => void,
  ): Map<string, unknown> {
    const updated = new Map<string, unknown>();
    for (const key of client.#metadata?.keys() ?? []) if (!Object.hasOwn(metadata, key)) updated.set(key, undefined);
    for (const [key, data] of Object.entries(metadata)) {
      try {
        checkKey(key);
        if (!RegisteredClient.keeps(client, key, data)) updated.set(key, data);
      } catch (error) {
        failed(error);
      }
    }
    for (const [key, data] of updated) client.#keep(key, data);
    return updated;
  }

  #keep(key: string, kept: unknown): void {
    if (kept === undefined) {
      delete this[key];
      this.#metadata?.delete(key);
    } else {
      this[key] = kept;
      (this.#metadata ??= new Map()).set(key, kept);
    }
  }

  /** What the application stored with `updateClient()` or `joinRoom()`. */
  metadata(): Record<string, unknown> {
    return this.#metadata ? Object.fromEntries(this.#metadata) : {};
  }
}

/** @throws {ReservedKeyError} */
function checkKey(key: string): void {
  if (RESERVED.has(key) || key in RegisteredClient.prototype || !isWellFormed(key)) throw new ReservedKeyError(key);
}
