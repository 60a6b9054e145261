import type { WebSocketUser } from '../protocol/message.js';
import { isRoomName, isUserId } from '../protocol/names.js';
import { type EventMark, isObject, isText, JunkError, readRecord, readUser, readVersion } from './bus-input.js';
import type { ClientRecord } from './client-record.js';

/** A client joins or leaves a room. */
export interface Move {
  readonly roomName: string;
  readonly isIn: boolean;
}

/** What changed in a client's own fields. `removed` names metadata keys. */
export interface FieldChange {
  readonly user?: WebSocketUser | null;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly removed?: readonly string[];
}

/** What happened to one client in one turn. */
export interface ClientNews {
  readonly clientId: string;
  readonly userId: string | number | undefined;
  /** In order. */
  readonly moves: readonly Move[];
  /** The whole record after that, for a client that other nodes don't know. */
  readonly record?: ClientRecord | undefined;
  readonly fields?: FieldChange | undefined;
  /** It connected, or its node came back after being taken for dead. */
  readonly came?: 'connected' | 'returned' | undefined;
  /** If it returned: those of its moves that happened since. The rest says where it was. Not sent. */
  readonly movesSince?: readonly Move[] | undefined;
  readonly isGone: boolean;
}

/**
 * News of many clients of one node, as one message of the bus. Without any, they say that the node's entry in Redis was
 * wrong for a while: a node that read it reads it again.
 */
export interface NewsPiece {
  readonly nodeId: string;
  /** The number of the node's change. Undefined for a node that is gone, and without a registry. */
  readonly version: number | undefined;
  /** Why all of these clients are gone with their node. */
  readonly reason?: string | undefined;
  readonly news: readonly ClientNews[];
}

/** What subscribers of the clients' own node hear: that it was away is news for the other nodes only. */
export const newsHere = (news: readonly ClientNews[]): readonly ClientNews[] =>
  news.flatMap((one) => {
    const { came, movesSince = [], isGone } = one;
    if (came !== 'returned') return one;
    return movesSince.length > 0 || isGone ? { ...one, came: undefined, moves: movesSince } : [];
  });

const OF_THIS_NODE = '.';
const OF_ANY = '/';

/** Short keys, and each room name only once: a join costs little more than its client's id. */
export function writePiece({ nodeId, version, reason, news }: NewsPiece): unknown[] {
  const rooms = new Map<string, number>();
  const indexOf = (roomName: string): number => {
    const known = rooms.get(roomName);
    if (known !== undefined) return known;
    rooms.set(roomName, rooms.size);
    return rooms.size - 1;
  };
  const prefix = `${nodeId}${OF_THIS_NODE}`;
  const entries = news.map((one) => {
    const { clientId, userId, moves } = one;
    const id = clientId.startsWith(prefix) ? clientId.slice(nodeId.length) : `${OF_ANY}${clientId}`;
    const rest = writeRest(one);
    const numbers = moves.map(({ roomName, isIn }) => (isIn ? indexOf(roomName) : -1 - indexOf(roomName)));
    const tail = rest ? [userId ?? null, rest] : userId === undefined ? [] : [userId];
    return [id, numbers, ...tail];
  });
  return [nodeId, version ?? null, [...rooms.keys()], entries, ...(reason === undefined ? [] : [reason])];
}

function writeRest({ record, fields, came, isGone }: ClientNews): Record<string, unknown> | undefined {
  if (!record && !fields && !came && !isGone) return undefined;
  return {
    ...(record && { r: [record.user, record.metadata, record.rooms, record.lastActivity] }),
    ...(fields?.user !== undefined && { u: fields.user }),
    ...(fields?.metadata && { m: fields.metadata }),
    ...(fields?.removed && { d: fields.removed }),
    ...(came && { c: came }),
    ...(isGone && { g: 1 }),
  };
}

/** Whose change this is, and its number. Undefined for what isn't numbered news. */
export function markOf(value: unknown): EventMark | undefined {
  const [origin, version] = Array.isArray(value) ? (value as unknown[]) : [];
  const sequence = readVersion(version);
  return isText(origin) && !Number.isNaN(sequence) ? { origin, sequence } : undefined;
}

/** @throws {JunkError} for anything that isn't news */
export function readPiece(value: unknown): NewsPiece {
  if (!Array.isArray(value)) throw new JunkError('The news of a node must be a list.');
  const [nodeId, given, rooms, entries, reason] = value as unknown[];
  const version = given === null ? undefined : readVersion(given);
  if (!isText(nodeId) || Number.isNaN(version) || (reason !== undefined && !isText(reason)))
    throw new JunkError('The news of a node lack its id, its number or a reason.');
  if (!Array.isArray(rooms) || !Array.isArray(entries))
    throw new JunkError(`News of node ${nodeId} have no list of rooms or clients.`);
  // A newer node may allow other room names. Its client is kept, without those rooms.
  const names = rooms.map((name) => (isRoomName(name) ? name : undefined));
  const news = entries.map((entry) => readEntry(nodeId, names, entry));
  return { nodeId, version, ...(reason !== undefined && { reason }), news };
}

function readEntry(nodeId: string, rooms: readonly (string | undefined)[], entry: unknown): ClientNews {
  const [id, numbers, userId, rest = {}] = Array.isArray(entry) ? (entry as unknown[]) : [];
  if (!isText(id) || id.length < 2 || !Array.isArray(numbers) || !isObject(rest))
    throw new JunkError(`News of node ${nodeId} lack the id of a client.`);
  const clientId = id.startsWith(OF_THIS_NODE) ? nodeId + id : id.slice(1);
  const moves: Move[] = [];
  for (const number of numbers as unknown[]) {
    if (!Number.isInteger(number)) throw new JunkError(`News of node ${nodeId} contain an unknown room number.`);
    const isIn = (number as number) >= 0;
    const roomName = rooms[isIn ? (number as number) : -1 - (number as number)];
    if (roomName !== undefined) moves.push({ roomName, isIn });
  }
  return {
    clientId,
    userId: isUserId(userId) ? userId : undefined,
    moves,
    ...readRest(nodeId, clientId, rest),
  };
}

function readRest(
  nodeId: string,
  clientId: string,
  { r, u, m, d, c, g }: Record<string, unknown>,
): Pick<ClientNews, 'record' | 'fields' | 'came' | 'isGone'> {
  const junk = (): never => {
    throw new JunkError(`News of node ${nodeId} contain an invalid change of a client.`);
  };
  const came = c === 'connected' || c === 'returned' ? c : undefined;
  const isGone = g === 1;
  if (r !== undefined) {
    const [user, metadata, rooms, lastActivity] = Array.isArray(r) ? (r as unknown[]) : [];
    const record = readRecord({ clientId, user, metadata, rooms, lastActivity }, clientId) ?? junk();
    return { record, came, isGone };
  }
  if (u === undefined && m === undefined && d === undefined) return { came, isGone };
  if ((m !== undefined && !isObject(m)) || (d !== undefined && !(Array.isArray(d) && d.every(isText)))) junk();
  const user = u === undefined ? undefined : u === null ? null : (readUser(u) ?? junk());
  const fields: FieldChange = {
    ...(user !== undefined && { user }),
    ...(m !== undefined && { metadata: m as Record<string, unknown> }),
    ...(d !== undefined && { removed: d as string[] }),
  };
  return { fields, came, isGone };
}

/** The record after these news. */
export function withNews(record: ClientRecord, { fields, moves }: ClientNews): ClientRecord {
  const { clientId, lastActivity } = record;
  const user = fields?.user === undefined ? record.user : fields.user;
  const metadata = fields ? withFields(record.metadata, fields) : record.metadata;
  return {
    clientId,
    user,
    metadata,
    rooms: moves.length > 0 ? withMoves(record.rooms, moves) : record.rooms,
    lastActivity,
  };
}

function withFields(
  known: ClientRecord['metadata'],
  { metadata, removed = [] }: FieldChange,
): ClientRecord['metadata'] {
  const kept = { ...known, ...metadata };
  for (const key of removed) delete kept[key];
  return kept;
}

function withMoves(known: string[], moves: readonly Move[]): string[] {
  const rooms = known.slice();
  for (const { roomName, isIn } of moves) {
    const at = rooms.indexOf(roomName);
    if (isIn && at < 0) rooms.push(roomName);
    else if (!isIn && at >= 0) rooms.splice(at, 1);
  }
  return rooms;
}
