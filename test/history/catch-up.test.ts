import { expect, it } from '@jest/globals';
import { CatchUps } from '../../lib/history/catch-up.js';
import type { LogEntry, LogRead } from '../../lib/history/room-log.js';
import type { RoomReader } from '../../lib/history/room-reader.js';
import { Turns } from '../../lib/history/turns.js';
import { ManualClock, settle } from '../support/manual-clock.js';

const entry = (offset: number): LogEntry => ({ offset, storedAt: 0, frame: `"${offset}"`, session: undefined });

/** A member that missed 1 to 10, of which the log has some. */
async function catchUp(kept: readonly number[]): Promise<{ sent: number[]; reads: number; wasGivenUp: boolean }> {
  const sent: number[] = [];
  let [reads, wasGivenUp] = [0, false];
  const catchUps = new CatchUps({
    log: {
      read: async (_room, { since = 0 }): Promise<LogRead> => {
        if (++reads > 20) throw new Error('The log is read again and again.');
        const entries = kept
          .filter((offset) => offset > since)
          .slice(0, 4)
          .map(entry);
        return { epoch: 'e', top: 10, first: 1, entries, isComplete: entries.at(-1)?.offset === kept.at(-1), now: 0 };
      },
    },
    local: {
      isIn: () => true,
      setApart: () => undefined,
      putBack: () => undefined,
      giveUp: () => void (wasGivenUp = true),
      whenBelow: async () => undefined,
    },
    readerOf: () =>
      ({ position: { epoch: 'e', offset: 10 }, since: () => undefined }) as Partial<RoomReader> as RoomReader,
    send: (_client, _room, _epoch, entries) => void sent.push(...entries.map(({ offset }) => offset)),
    turns: new Turns(),
    clock: new ManualClock(),
    pieceBytes: 1_000,
    failed: (error) => {
      throw error;
    },
  });
  catchUps.start('ada', 'chat:1', 'e', 0);
  for (let turn = 0; turn < 20 && catchUps.size > 0; turn++) await settle();
  return { sent, reads, wasGivenUp };
}

it('gives a member what it missed in pieces', async () => {
  const { sent, wasGivenUp } = await catchUp([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  expect(sent).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  expect(wasGivenUp).toBe(false);
});

it.each([
  ['in the middle', [1, 2, 3, 4, 5, 7, 8, 9, 10]],
  ['at the end', [1, 2, 3, 4, 5, 6]],
])('H4: has a member come back when the log lost what it missed %s', async (_where, kept) => {
  const { sent, reads, wasGivenUp } = await catchUp(kept);
  expect(sent).toEqual([1, 2, 3, 4, 5, 6].slice(0, sent.length));
  expect(wasGivenUp).toBe(true);
  expect(reads).toBeLessThan(5);
});
