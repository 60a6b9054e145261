import type { ClientRecord } from './client-record.js';
import type { OwnNews } from './field-writer.js';

/** Most bytes of one event, unless one client alone needs more. A longer one would hold up the messages behind it. */
const MAX_PIECE_BYTES = 65_536;
/** What an entry for one client costs besides names and values, one move, one name, and the event itself, in bytes. */
const NEWS_BYTES = 80;
const MOVE_BYTES = 8;
const NAME_BYTES = 3;
const EVENT_BYTES = 200;

/** No piece has news of more clients. */
export const MAX_NEWS = Math.floor(MAX_PIECE_BYTES / NEWS_BYTES);

/** Made when their turn comes: those of a whole node would take long. */
export function* goodbyesOf(records: readonly ClientRecord[]): Iterable<OwnNews> {
  for (const { clientId, user, rooms } of records) {
    const moves = rooms.map((roomName) => ({ roomName, isIn: false }));
    yield { clientId, userId: user?.userId, moves, isGone: true };
  }
}

/** In pieces that one event can carry. */
export function* piecesOf(news: Iterable<OwnNews>): Generator<OwnNews[]> {
  let piece: OwnNews[] = [];
  let bytes = EVENT_BYTES;
  let rooms = new Set<string>();
  for (const one of news) {
    bytes += bytesOf(one, rooms);
    if (bytes > MAX_PIECE_BYTES && piece.length > 0) {
      yield piece;
      piece = [];
      rooms = new Set();
      bytes = EVENT_BYTES + bytesOf(one, rooms);
    }
    piece.push(one);
  }
  if (piece.length > 0) yield piece;
}

/** At least as many as the entry has in UTF-8. No character of a room name becomes more than three bytes. */
function bytesOf({ clientId, userId, moves, record, fields }: OwnNews, rooms: Set<string>): number {
  let bytes = NEWS_BYTES + clientId.length + MOVE_BYTES * moves.length;
  for (const { roomName } of moves) {
    if (!rooms.has(roomName)) bytes += NAME_BYTES + 3 * roomName.length;
    rooms.add(roomName);
  }
  for (const values of [userId, record, fields])
    if (values !== undefined) bytes += Buffer.byteLength(JSON.stringify(values));
  return bytes;
}
