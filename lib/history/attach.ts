import type { HistoryRule } from './history-rule.js';
import { areNext, type LogEntry, type LogRead, type RoomLog } from './room-log.js';
import type { RoomPosition } from '../protocol/message.js';
import type { RoomReader } from './room-reader.js';

/** Why a client doesn't get what it missed. */
export type RefusalReason = 'expired' | 'too-far-behind' | 'other-epoch' | 'ahead';

export interface Resumption {
  /** The last place that the client knows. */
  since?: RoomPosition | undefined;
  /** Asks for this many of the newest messages, for a client without a place. */
  tail?: number | undefined;
  /** False: what its session publishes to the room from now on isn't sent to it. */
  echo?: boolean | undefined;
}

/** What a client gets when it joins, before any live message. */
export interface Attachment {
  /** The newest place at this moment. */
  position: RoomPosition;
  /** Undefined if the client gave no place. */
  recovered: boolean | undefined;
  reason: RefusalReason | undefined;
  /** How many messages were published after its place. */
  missed: number;
  /** In order. They may end before `position`: the rest is in memory or in the log by then. */
  entries: LogEntry[];
}

/** The log may begin anew while it is read. */
const ATTEMPTS = 5;

/**
 * Makes a client a member. Finds what it missed, and calls `enter` in the same turn, so that no live message can come
 * between. What is in the ring is found without the store.
 * @param enter must queue the reply and `entries` and add the member, without awaiting anything
 * @throws {LogUnavailableError} `enter` wasn't called, and nothing has changed
 */
export async function attach(
  reader: RoomReader,
  { log, rule, room }: { log: Pick<RoomLog, 'read'>; rule: HistoryRule; room: string },
  resumption: Resumption,
  enter: (attachment: Attachment) => void,
): Promise<void> {
  await reader.start();
  if (resumption.since && isBeyond(resumption.since, positionOf(reader))) await reader.sync();
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const position = positionOf(reader);
    const atHand = fromRing(reader, rule, resumption, position);
    if (atHand) return enter(atHand);
    const read = await fromLog(log, room, rule, resumption);
    const { epoch } = positionOf(reader);
    if (read.epoch !== epoch) await reader.sync();
    // The log may have begun a new epoch while it was read.
    if (read.epoch !== epoch || (resumption.since && resumption.since.epoch !== epoch)) continue;
    reader.accept(read); // this node may be behind
    const attached = afterRead(reader, rule, resumption, read);
    if (attached) return enter(attached);
    // What was read doesn't begin at the position of this node. Only the reader can close that gap.
    await reader.sync();
  }
  enter(refused(positionOf(reader), resumption, 'too-far-behind'));
}

const positionOf = ({ position }: RoomReader): RoomPosition => ({ ...(position as RoomPosition) });

/** This node doesn't know the client's place. The log may. */
const isBeyond = (since: RoomPosition, position: RoomPosition): boolean =>
  since.epoch !== position.epoch || since.offset > position.offset;

function fromRing(
  reader: RoomReader,
  rule: HistoryRule,
  { since, tail = 0 }: Resumption,
  position: RoomPosition,
): Attachment | undefined {
  if (!since) {
    const from = Math.max(0, position.offset - (rule.mode === 'last' ? 1 : tail));
    const entries = reader.since(from);
    return entries && { position, recovered: undefined, reason: undefined, missed: 0, entries };
  }
  if (since.epoch !== position.epoch) return refused(position, { since }, 'other-epoch');
  if (since.offset > position.offset) return refused(position, { since }, 'ahead');
  const missed = position.offset - since.offset;
  if (rule.mode === 'log' && missed > rule.recoverMax) return refused(position, { since }, 'too-far-behind');
  const entries = reader.since(rule.mode === 'last' && missed > 0 ? position.offset - 1 : since.offset);
  if (!entries) return undefined;
  if (rule.mode === 'log' && framesOf(entries) > rule.recoverMaxBytes)
    return refused(position, { since }, 'too-far-behind');
  return { position, recovered: true, reason: undefined, missed, entries };
}

interface Found {
  epoch: string;
  top: number;
  entries: LogEntry[];
  now: number;
  reason: RefusalReason | undefined;
}

async function fromLog(
  log: Pick<RoomLog, 'read'>,
  room: string,
  rule: HistoryRule,
  { since, tail = 0 }: Resumption,
): Promise<Found> {
  const bounds = { limit: rule.recoverMax, maxBytes: rule.recoverMaxBytes };
  if (rule.mode === 'last') {
    return { ...(await log.read(room, bounds)), reason: undefined };
  }
  if (!since) {
    const read = await log.read(room, { ...bounds, limit: Math.min(tail, rule.size), reverse: true });
    const gap = read.entries.findIndex(({ offset }, at) => offset !== read.top - at);
    return { ...read, entries: read.entries.slice(0, gap < 0 ? undefined : gap).toReversed(), reason: undefined };
  }
  const read = await log.read(room, { ...bounds, since: since.offset });
  return { ...read, reason: reasonOf(read, since.offset, rule.recoverMaxBytes) };
}

/** In bytes. */
const framesOf = (entries: readonly LogEntry[]): number =>
  entries.reduce((sum, { frame }) => sum + Buffer.byteLength(frame), 0);

/** @returns undefined if the client can get everything after `offset` */
function reasonOf(
  { isComplete, first, top, entries }: LogRead,
  offset: number,
  maxBytes: number,
): RefusalReason | undefined {
  if (!isComplete) return first > offset + 1 ? 'expired' : 'too-far-behind';
  if (framesOf(entries) > maxBytes) return 'too-far-behind'; // a read gives one in any case
  const isWhole = areNext(entries, offset) && entries.length >= top - offset;
  return isWhole ? undefined : 'expired';
}

/** @returns undefined when the log must be read again */
function afterRead(
  reader: RoomReader,
  { mode }: HistoryRule,
  { since, tail = 0 }: Resumption,
  { top, entries, reason }: Found,
): Attachment | undefined {
  const position = positionOf(reader);
  if (reason) return refused(position, { since }, reason);
  if (position.offset < top) return undefined;
  const newer = reader.since(Math.max(top, since?.offset ?? 0)) ?? [];
  if (mode === 'last' && newer.length < position.offset - top) return undefined;
  const recovered = since ? true : undefined;
  const missed = since ? position.offset - since.offset : 0;
  const all = [...entries, ...newer];
  const most = mode === 'last' ? 1 : since ? all.length : tail;
  return { position, recovered, reason: undefined, missed, entries: all.slice(Math.max(0, all.length - most)) };
}

function refused(position: RoomPosition, { since }: Resumption, reason: RefusalReason): Attachment {
  const missed = since && since.epoch === position.epoch ? Math.max(0, position.offset - since.offset) : 0;
  return { position, recovered: false, reason, missed, entries: [] };
}
