import { isRoomName } from '../protocol/names.js';
import { readJson, readRecord } from './bus-input.js';
import type { ClientNews } from './client-news.js';
import type { ClientRecord } from './client-record.js';

/**
 * How clients lie in the hash of their node: a field for each client, and one for each room of each, so that a change costs what
 * changed. No client id begins as the field of a room does, and no room name has a line break.
 */
const ROOM = '@';

/** Fields that are written; undefined: removed. */
export type FieldWrites = Map<string, string | undefined>;

const roomField = (clientId: string, roomName: string): string => `${ROOM}${clientId}\n${roomName}`;

const clientText = (record: ClientRecord): string => JSON.stringify({ ...record, rooms: [] });

/** Counts joins, so that rooms are read in the order in which they were joined. */
export class FieldWriter {
  #joins = 0;

  /** All fields of a client. */
  *whole(record: ClientRecord): Iterable<[string, string]> {
    yield [record.clientId, clientText(record)];
    for (const roomName of record.rooms) yield [roomField(record.clientId, roomName), String(++this.#joins)];
  }

  /**
   * Adds what the news change.
   * @param now the client's record, where its own fields changed
   * @returns by how many its fields become more
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

/** @param junk called for each field that is nobody's client and nobody's room; it is passed over */
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
  // A newer node may allow names that this one doesn't: the client is there all the same.
  const names = new Map<string, boolean>();
  for (const [clientId, roomName] of joins) {
    let isName = names.get(roomName);
    if (isName === undefined) names.set(roomName, (isName = isRoomName(roomName)));
    if (isName) records.get(clientId)?.rooms.push(roomName);
  }
  return [...records.values()];
}
