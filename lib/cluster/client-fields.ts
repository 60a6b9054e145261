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

/** Reads the clients of a node. @param junk called for each field that is neither a client nor a room of one */
export function readFields(fields: Readonly<Record<string, string>>, junk: () => void): ClientRecord[] {
  const records = new Map<string, ClientRecord>();
  const joins: [clientId: string, roomName: string, order: number][] = [];
  for (const [field, text] of Object.entries(fields)) {
    if (field.startsWith(ROOM)) {
      const end = field.lastIndexOf('\n');
      if (end > 1) joins.push([field.slice(1, end), field.slice(end + 1), Number(text)]);
      else junk();
      continue;
    }
    const record = readRecord(readJson(text), field);
    if (record) records.set(field, record);
    else junk();
  }
  joins.sort(([, , one], [, , other]) => one - other);
  // A newer node may allow other room names. Its client is kept, without those rooms.
  const names = new Map<string, boolean>();
  for (const [clientId, roomName] of joins) {
    let isName = names.get(roomName);
    if (isName === undefined) names.set(roomName, (isName = isRoomName(roomName)));
    if (isName) records.get(clientId)?.rooms.push(roomName);
  }
  return [...records.values()];
}
