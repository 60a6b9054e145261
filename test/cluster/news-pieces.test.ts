import { expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { writeEvent } from '../../lib/cluster/bus-input.js';
import { readPiece, writePiece } from '../../lib/cluster/client-news.js';
import { NEWS } from '../../lib/cluster/event-groups.js';
import type { OwnNews } from '../../lib/cluster/field-writer.js';
import { piecesOf } from '../../lib/cluster/news-pieces.js';
import { isRoomName } from '../../lib/protocol/names.js';

const MAX_BYTES = 65_536;
const NODE = 'node'.padEnd(22, '-');
const MARK = { origin: 'origin'.padEnd(22, '-'), sequence: Number.MAX_SAFE_INTEGER };

const text = (maxLength: number) =>
  fc.oneof(
    fc.string({ unit: 'grapheme', minLength: 1, maxLength, size: 'max' }),
    fc.string({ unit: fc.constantFrom('語', '"', '\u0000', '\\', 'ü'), minLength: 1, maxLength, size: 'max' }),
  );
const roomNames = fc.array(
  text(100).map((name) => (isRoomName(name) ? name : '語')),
  { maxLength: 8 },
);
const userIds = fc.oneof(fc.constant(undefined), fc.double({ noNaN: true, noDefaultInfinity: true }), text(400));

/** The clients of a node that comes back name its former id. */
const clients = fc.array(
  fc.record({
    ofNode: fc.constantFrom(NODE, 'former'.padEnd(22, '-')),
    userId: userIds,
    rooms: roomNames,
    kind: fc.constantFrom('gone', 'moves', 'connected', 'returned', 'fields'),
    metadata: fc.dictionary(text(20), fc.jsonValue(), { maxKeys: 4 }),
  }),
  { minLength: 1, maxLength: 3 },
);

it('news fit into pieces of 64 KB, whatever names and ids they have', () => {
  fc.assert(
    fc.property(clients, (kinds) => {
      const news = Array.from({ length: 1_500 }, (_, n): OwnNews => {
        const { ofNode, userId, rooms, kind, metadata } = kinds[n % kinds.length] as (typeof kinds)[number];
        const clientId = `${ofNode}.${String(n).padStart(22, '0')}`;
        const user = userId === undefined ? null : { userId, payload: {} };
        const moves = rooms.map((name) => ({
          roomName: isRoomName(`${name}${n}`) ? `${name}${n}` : name,
          isIn: n % 2 > 0,
        }));
        const common = { clientId, userId, moves, isGone: kind === 'gone' };
        if (kind === 'fields') return { ...common, fields: { user, metadata, removed: Object.keys(metadata) } };
        if (kind !== 'connected' && kind !== 'returned') return common;
        return { ...common, came: kind, record: { clientId, user, metadata, rooms, lastActivity: 1 } };
      });
      const pieces = [...piecesOf(news)];
      for (const piece of pieces) {
        const written = JSON.stringify(
          writePiece({ nodeId: NODE, version: 2 ** 47, reason: 'node-stopping', news: piece }),
        );
        const bytes = Buffer.byteLength(writeEvent(NEWS, written, MARK));
        expect({ isAlone: piece.length === 1, isShort: bytes <= MAX_BYTES }).toMatchObject(
          piece.length === 1 ? {} : { isShort: true },
        );
      }
      expect(pieces.flat()).toEqual(news);
      const read = pieces.flatMap((piece) => readPiece(writePiece({ nodeId: NODE, version: 1, news: piece })).news);
      expect(read.map(({ clientId }) => clientId)).toEqual(news.map(({ clientId }) => clientId));
    }),
    { numRuns: 60 },
  );
});
