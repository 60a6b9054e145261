import { isRoomName } from '../protocol/names.js';
import { isText, readJson, readRecord } from './bus-input.js';
import type { ClientRecord } from './client-record.js';

/**
 * The hash of a node has a field for each client, one for each room of a client and one for each key of its metadata:
 * a change writes only what is new. Client ids begin with none of these characters and have no line breaks.
 */
const ROOM = '@';
const KEY = '#';
/** Replaces the id of the node in the ids of its clients. A client of an earlier id of the node keeps its whole id. */
const OF_THIS_NODE = '.';

/** Fields to write; undefined means to remove it. */
export type FieldWrites = Map<string, string | undefined>;

/** Fields to remove, and fields with their values to write. */
export interface Split {
  removed: string[];
  written: string[];
}

export function split(fields: FieldWrites): Split {
  const [removed, written]: [string[], string[]] = [[], []];
  for (const [field, text] of fields) {
    if (text === undefined) removed.push(field);
    else written.push(field, text);
  }
  return { removed, written };
}

/** Names the fields of one node. */
export class FieldNames {
  readonly #prefix: string;

  constructor(private readonly nodeId: string) {
    this.#prefix = nodeId + OF_THIS_NODE;
  }

  client(clientId: string): string {
    return clientId.startsWith(this.#prefix) ? clientId.slice(this.nodeId.length) : clientId;
  }

  room(clientId: string, roomName: string): string {
    return `${ROOM}${this.client(clientId)}\n${roomName}`;
  }

  key(clientId: string, key: string): string {
    return `${KEY}${this.client(clientId)}\n${key}`;
  }

  clientId(name: string): string {
    return name.startsWith(OF_THIS_NODE) ? this.nodeId + name : name;
  }
}

interface Part<T> {
  readonly name: string;
  readonly value: T;
}

/** Reads the clients of a node field by field, in any order. */
export class FieldReader {
  readonly #names: FieldNames;
  readonly #records = new Map<string, ClientRecord>();
  /** Rooms and the numbers of their joins, by the client's field. */
  readonly #rooms = new Map<string, Part<number>[]>();
  readonly #metadata = new Map<string, Part<unknown>[]>();
  /** A newer node may allow other room names. Its client is kept, without those rooms. */
  readonly #isName = new Map<string, boolean>();

  /** @param junk called for each field that belongs to no client */
  constructor(
    nodeId: string,
    private readonly junk: () => void,
  ) {
    this.#names = new FieldNames(nodeId);
  }

  read(field: string, text: string): void {
    if (field.startsWith(ROOM)) return this.#readPart(field, this.#rooms, (name) => this.#isRoom(name), Number(text));
    if (field.startsWith(KEY)) return this.#readPart(field, this.#metadata, isKey, readJson(text));
    const own = readJson(text);
    const [user, lastActivity] = Array.isArray(own) ? (own as unknown[]) : [];
    const clientId = this.#names.clientId(field);
    const record = readRecord({ clientId, user, metadata: {}, rooms: [], lastActivity: lastActivity ?? NaN }, clientId);
    if (record) this.#records.set(field, record);
    else this.junk();
  }

  /** Called once all fields were read. */
  *records(): Iterable<ClientRecord> {
    for (const [field, record] of this.#records) {
      const rooms = this.#rooms.get(field) ?? [];
      rooms.sort((one, other) => one.value - other.value);
      for (const { name } of rooms) record.rooms.push(name);
      for (const { name, value } of this.#metadata.get(field) ?? []) record.metadata[name] = value;
      yield record;
    }
  }

  #readPart<T>(field: string, parts: Map<string, Part<T>[]>, takes: (name: string) => boolean, value: T): void {
    const end = field.indexOf('\n');
    if (end <= 1 || value === undefined) return this.junk();
    const [client, name] = [field.slice(1, end), field.slice(end + 1)];
    if (!takes(name)) return;
    const known = parts.get(client);
    if (known) known.push({ name, value });
    else parts.set(client, [{ name, value }]);
  }

  #isRoom(name: string): boolean {
    let isRoom = this.#isName.get(name);
    if (isRoom === undefined) this.#isName.set(name, (isRoom = isRoomName(name)));
    return isRoom;
  }
}

const isKey = (name: string): boolean => name !== '__proto__' && isText(name);

/** All fields at once. */
export function readFields(nodeId: string, fields: Iterable<readonly [string, string]>): ClientRecord[] {
  const reader = new FieldReader(nodeId, () => undefined);
  for (const [field, text] of fields) reader.read(field, text);
  return [...reader.records()];
}
