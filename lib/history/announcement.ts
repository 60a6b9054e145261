import type { RoomPosition } from '../protocol/message.js';

/** What a log announces to the nodes that follow a room. */
export type Announcement =
  | { kind: 'stored'; epoch: string; offset: number; storedAt: number; session: string | undefined; frame: string }
  /** All messages were deleted; this epoch began. */
  | { kind: 'cleared'; epoch: string };

const STORED = 'P';
const CLEARED = 'C';
const NO_SESSION = '-';

/**
 * Reads what a script sent over the bus: `P <epoch> <offset> <storedAt> <session or ->
 * <frame>`, or `C <epoch>`.
 * @param storedMark another first letter than `P`, for what else has places in a room
 * @returns undefined for anything else: any program can publish on a channel
 */
export function readAnnouncement(text: string, storedMark = STORED): Announcement | undefined {
  const end = text.indexOf('\n');
  const [mark, epoch, offset, storedAt, session] = text.slice(0, end < 0 ? undefined : end).split(' ');
  if (!epoch) return undefined;
  if (mark === CLEARED && end < 0 && offset === undefined) return { kind: 'cleared', epoch };
  const place = { epoch, offset: Number(offset) };
  if (mark !== storedMark || end < 0 || !isPlace(place) || !Number.isSafeInteger(Number(storedAt)) || !session)
    return undefined;
  return {
    kind: 'stored',
    ...place,
    storedAt: Number(storedAt),
    session: session === NO_SESSION ? undefined : session,
    frame: text.slice(end + 1),
  };
}

/** What `readAnnouncement()` reads. */
export const writeAnnouncement = (said: Announcement): string =>
  said.kind === 'cleared'
    ? `${CLEARED} ${said.epoch}`
    : `${STORED} ${said.epoch} ${said.offset} ${said.storedAt} ${said.session ?? NO_SESSION}\n${said.frame}`;

const isPlace = ({ offset }: RoomPosition): boolean => Number.isSafeInteger(offset) && offset > 0;
