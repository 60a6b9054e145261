import { FieldNames, type FieldWrites } from './client-fields.js';
import type { ClientNews } from './client-news.js';
import type { ClientRecord } from './client-record.js';

/** News of a client of this node, with its record if its own fields changed. */
export type OwnNews = ClientNews & { readonly now?: ClientRecord | undefined };

/** Which fields of a client were written, besides its own: how many rooms, and which metadata keys. */
interface Written {
  rooms: number;
  keys: readonly string[];
}

const NO_KEYS: readonly string[] = [];

/** Writes the fields of one node's clients, and knows how many there are. */
export class FieldWriter {
  readonly #names: FieldNames;
  readonly #written = new Map<string, Written>();
  #count = 0;
  /** Numbers the joins, so that rooms are read in the order in which they were joined. */
  #joins = 0;

  constructor(nodeId: string) {
    this.#names = new FieldNames(nodeId);
  }

  /** The number of fields. */
  get count(): number {
    return this.#count;
  }

  has(clientId: string): boolean {
    return this.#written.has(clientId);
  }

  /** Adds the fields that the news change. */
  change(writes: FieldWrites, news: OwnNews): void {
    const { clientId, record, moves, isGone } = news;
    if (isGone || record) {
      for (const { roomName } of moves) writes.set(this.#names.room(clientId, roomName), undefined);
      return isGone ? this.#remove(writes, clientId) : this.whole(writes, record as ClientRecord);
    }
    const written = this.#written.get(clientId) ?? { rooms: 0, keys: NO_KEYS };
    const rooms = written.rooms + this.#move(writes, news);
    this.#note(clientId, { rooms, keys: this.#changeFields(writes, news, written.keys) });
  }

  /** Adds all fields of a client. */
  whole(writes: FieldWrites, record: ClientRecord): void {
    const { clientId, rooms } = record;
    this.#remove(writes, clientId);
    writes.set(this.#names.client(clientId), ownText(record));
    for (const roomName of rooms) writes.set(this.#names.room(clientId, roomName), String(++this.#joins));
    const keys: string[] = [];
    for (const key in record.metadata) {
      if (this.#writeKey(writes, record, key)) keys.push(key);
    }
    this.#note(clientId, { rooms: rooms.length, keys });
  }

  #changeFields(writes: FieldWrites, { clientId, fields, now }: OwnNews, known: readonly string[]): readonly string[] {
    if (!fields || !now) return known;
    if (fields.user !== undefined) writes.set(this.#names.client(clientId), ownText(now));
    const { metadata = {}, removed = [] } = fields;
    const keys = new Set(known);
    for (const key of [...Object.keys(metadata), ...removed]) {
      if (this.#writeKey(writes, now, key)) keys.add(key);
      else keys.delete(key);
    }
    return [...keys];
  }

  /** @returns false if the key is removed */
  #writeKey(writes: FieldWrites, { clientId, metadata }: ClientRecord, key: string): boolean {
    const text = JSON.stringify(metadata[key]) as string | undefined;
    writes.set(this.#names.key(clientId, key), text);
    return text !== undefined;
  }

  /** @returns by how much the number of rooms grows */
  #move(writes: FieldWrites, { clientId, moves }: ClientNews): number {
    const first = new Map<string, boolean>();
    const last = new Map<string, boolean>();
    for (const { roomName, isIn } of moves) {
      if (!first.has(roomName)) first.set(roomName, isIn);
      last.set(roomName, isIn);
    }
    let more = 0;
    for (const [roomName, isIn] of last) {
      writes.set(this.#names.room(clientId, roomName), isIn ? String(++this.#joins) : undefined);
      if (first.get(roomName) === isIn) more += isIn ? 1 : -1;
    }
    return more;
  }

  #remove(writes: FieldWrites, clientId: string): void {
    const written = this.#written.get(clientId);
    if (!written) return;
    writes.set(this.#names.client(clientId), undefined);
    for (const key of written.keys) writes.set(this.#names.key(clientId, key), undefined);
    this.#count -= sizeOf(written);
    this.#written.delete(clientId);
  }

  #note(clientId: string, written: Written): void {
    const before = this.#written.get(clientId);
    this.#count += sizeOf(written) - (before ? sizeOf(before) : 0);
    this.#written.set(clientId, written.keys.length > 0 ? written : { rooms: written.rooms, keys: NO_KEYS });
  }
}

const sizeOf = ({ rooms, keys }: Written): number => 1 + rooms + keys.length;

const ownText = ({ user, lastActivity }: ClientRecord): string => JSON.stringify([user, lastActivity]);
