import type { WebSocket } from 'ws';
import type { ConnectedClient } from '../decorators/connected-client.js';
import { ClientNotFoundError, ReservedKeyError } from '../errors.js';
import type { BackpressureOptions } from '../protocol/delivery.js';
import type { WebSocketMessage, WebSocketUser } from '../protocol/message.js';
import { NO_PARAMS, type PathParams } from '../protocol/path-pattern.js';

/** Asks a client something, over its socket or by way of its node. */
export interface Asker {
  ask(type: string, action: string, data: unknown, timeoutMs: number | undefined): Promise<unknown>;
}

/** What clients share. */
export interface ClientSurroundings {
  roomsOf(clientId: string): string[];
  /** What `client.toJSON()` and the public client list show. */
  readonly publicFields: readonly string[];
  /** Whether others may see that a client is in this room. */
  isPublicRoom(roomName: string): boolean;
  send(clientId: string, message: WebSocketMessage, options?: BackpressureOptions): void;
}

/** What a client is registered with. */
export interface ClientRecord {
  clientId: string;
  ws: WebSocket | null;
  lastActivity: number;
  user?: WebSocketUser | null;
  /** Of a client of this node. */
  ip?: string | undefined;
  params?: PathParams;
}

/**
 * Names that `updateClient()` may not take: the module's own, and those that mean something to JavaScript (with a `then`
 * a client could not be awaited).
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

/** A client as the registry keeps it. Its JSON is what others may see, so that nothing else can leak by accident. */
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
  /** The names of what `updateClient()` stored. */
  #metadata: Set<string> | undefined;

  constructor(record: ClientRecord, surroundings: ClientSurroundings) {
    this.clientId = record.clientId;
    this.ws = record.ws;
    this.lastActivity = record.lastActivity;
    this.user = record.user ?? null;
    this.ip = record.ip;
    this.params = record.params ?? NO_PARAMS;
    this.#surroundings = surroundings;
  }

  get rooms(): string[] {
    return this.#surroundings.roomsOf(this.clientId);
  }

  /** By the connection that owns the socket, or by what reaches its node. */
  isServedBy(asker: Asker): void {
    this.#asker = asker;
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

  /** The public fields: what `clientList.publicFields` allows and this client has. They never name a protected room. */
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

  /** @throws {ReservedKeyError} */
  setMetadata(key: string, data: unknown): void {
    if (RESERVED.has(key) || key in RegisteredClient.prototype) throw new ReservedKeyError(key);
    this[key] = data;
    (this.#metadata ??= new Set()).add(key);
  }

  /** What was stored with `updateClient()`, by the application or by `joinRoom()`. */
  metadata(): Record<string, unknown> {
    const metadata: Record<string, unknown> = {};
    for (const key of this.#metadata ?? []) metadata[key] = this[key];
    return metadata;
  }
}
