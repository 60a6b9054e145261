import { isRoomName } from '../protocol/names.js';
import { readJson, readRecord } from './bus-input.js';
import type { ClientNews } from './client-news.js';
import type { ClientRecord } from './client-record.js';

/**
 * The hash of a node has a field for each client, and one for each room of each client: a join writes one field. Client
 * ids never begin with this character, and room names have no line breaks.
 */
const ROOM = '@';

/** Fields to write; undefined means to remove it. */
export type FieldWrites = Map<string, string | undefined>;

const roomField = (clientId: string, roomName: string): string => `${ROOM}${clientId}\n${roomName}`;

const clientText = (record: ClientRecord): string => JSON.stringify({ ...record, rooms: [] });

/** Numbers the joins, so that rooms are read in the order in which they were joined. */
export class FieldWriter {
  #joins = 0;

  /** All fields of a client. */
  *whole(record: ClientRecord): Iterable<[string, string]> {
    yield [record.clientId, clientText(record)];
    for (const roomName of record.rooms) yield [roomField(record.clientId, roomName), String(++this.#joins)];
  }

  /**
   * Adds the fields that the news change.
   * @param now the client's record, if its own fields changed
   * @returns by how much the number of its fields grows
   */
  change(writes: FieldWrites, { clientId, record, moves, isGone }: ClientNews, now: ClientRecord | undefined): number {
    if (record && !isGone) {
      for (const { roomName } of moves) writes.set(roomField(clientId, roomName), undefined);
      for (const [field, text] of this.whole(record)) writes.set(field, text);
      return 1 + record.rooms.length;
    }
    if (isGone) writes.set(clientId, undefined);
    else if (now) writes.set(clientId, clientText(now));
    const first = new Map<string, boolean>();
    const last = new Map<string, boolean>();
    for (const { roomName, isIn } of moves) {
      if (!first.has(roomName)) first.set(roomName, isIn);
      last.set(roomName, isIn);
    }
    let more = 0;
    for (const [roomName, isIn] of last) {
      const isInAfter = isIn && !isGone;
      writes.set(roomField(clientId, roomName), isInAfter ? String(++this.#joins) : undefined);
      if (first.get(roomName) === isIn) more += isIn ? 1 : -1;
    }
    return more;
  }
}

/** Reads the clients of a node field by field, in any order. */
export class FieldReader {
  readonly #records = new Map<string, ClientRecord>();
  readonly #joins = new Map<string, { roomName: string; order: number }[]>();
  /** A newer node may allow other room names. Its client is kept, without those rooms. */
  readonly #isName = new Map<string, boolean>();

  /** @param junk called for each field that is neither a client nor a room of one */
  constructor(private readonly junk: () => void) {}

  read(field: string, text: string): void {
    if (field.startsWith(ROOM)) return this.#readJoin(field, Number(text));
    const record = readRecord(readJson(text), field);
    if (record) this.#records.set(field, record);
    else this.junk();
  }

  /** Called once all fields were read. */
  *records(): Iterable<ClientRecord> {
    for (const [clientId, record] of this.#records) {
      const joins = this.#joins.get(clientId) ?? [];
      joins.sort((one, other) => one.order - other.order);
      for (const { roomName } of joins) record.rooms.push(roomName);
      yield record;
    }
  }

  #readJoin(field: string, order: number): void {
    const end = field.lastIndexOf('\n');
    if (end <= 1) return this.junk();
    const [clientId, roomName] = [field.slice(1, end), field.slice(end + 1)];
    let isName = this.#isName.get(roomName);
    if (isName === undefined) this.#isName.set(roomName, (isName = isRoomName(roomName)));
    if (!isName) return;
    const joins = this.#joins.get(clientId);
    if (joins) joins.push({ roomName, order });
    else this.#joins.set(clientId, [{ roomName, order }]);
  }
}

/** All fields at once. */
export function readFields(fields: Iterable<readonly [string, string]>): ClientRecord[] {
  const reader = new FieldReader(() => undefined);
  for (const [field, text] of fields) reader.read(field, text);
  return [...reader.records()];
}
