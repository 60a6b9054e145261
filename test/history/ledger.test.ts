import { describe, expect, it } from '@jest/globals';
import { HistoryLedger, historyComplaints } from '../support/history-ledger.js';

const ROOM = 'chat:1';

/** What a client's handlers were called with, by offset of one epoch; or what it was told. */
type Step = number | ((book: HistoryLedger) => void);

const tokenOf = (offset: number): string => `#${offset}`;
const cut: Step = (book) => book.cut('ada');
const recovered =
  (missed: number): Step =>
  (book) =>
    book.recovered('ada', ROOM, missed);
const reset =
  (reason: string, epoch: string, offset: number): Step =>
  (book) =>
    book.reset('ada', ROOM, reason, { epoch, offset });
const seen =
  (token: string, epoch: string, offset: number): Step =>
  (book) =>
    book.seen('ada', ROOM, token, { epoch, offset });
const stored =
  (token: string, epoch: string, offset: number, isDuplicate = false): Step =>
  (book) => {
    book.publishing(token, ROOM);
    book.answered(token, { epoch, offset, isDuplicate });
  };

/** Ten publications; ada joins before the first, and then this happens. */
function after(...steps: Step[]): HistoryLedger {
  const book = new HistoryLedger();
  for (let offset = 1; offset <= 10; offset++) {
    book.publishing(tokenOf(offset), ROOM);
    book.answered(tokenOf(offset), { epoch: 'first', offset, isDuplicate: false });
  }
  book.joining('ada', ROOM)({ epoch: 'first', offset: 0, missed: 0 });
  for (const step of steps) {
    if (typeof step === 'number') book.seen('ada', ROOM, tokenOf(step), { epoch: 'first', offset: step });
    else step(book);
  }
  book.ended(ROOM, { epoch: 'first', offset: 10 });
  return book;
}

const found = (...steps: Step[]): string[] => Object.keys(historyComplaints(after(...steps).check()));
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, n) => from + n);
const all = range(1, 10);

describe('the ledger of rooms that keep what is published', () => {
  it('has nothing to say of a faultless run', () => {
    const report = after(...range(1, 4), cut, recovered(3), ...range(5, 10)).check();
    expect(historyComplaints(report)).toEqual({});
    expect(report).toMatchObject({ published: 10, stored: 10, seen: 10, recovered: 1, resets: 0 });
    expect(found(...range(1, 4), cut, ...range(5, 7), recovered(3), ...range(8, 10))).toEqual([]);
    expect(found(cut, cut, recovered(10), ...all)).toEqual([]);
  });

  it.each([1, 5, 10])('finds that publication %i was lost', (offset) => {
    expect(found(...all.filter((one) => one !== offset))).toEqual(['lost']);
  });

  it('finds one that came twice, at once, later or after a reconnect', () => {
    expect(found(...range(1, 5), 5, ...range(6, 10))).toEqual(['twice']);
    expect(found(...all, 5)).toEqual(['twice']);
    expect(found(...range(1, 5), cut, recovered(5), ...range(5, 10))).toEqual(['twice']);
  });

  it('finds two that changed places', () => {
    expect(found(...range(1, 4), 6, 5, ...range(7, 10))).toEqual(['reordered']);
    expect(found(...range(1, 4), cut, 6, 5, recovered(2), ...range(7, 10))).toEqual(['reordered']);
  });

  it('finds a false recovery: another epoch, a hole, the end missing, or more promised than there is', () => {
    const other = stored('x', 'second', 5);
    expect(found(other, ...range(1, 4), cut, recovered(1), seen('x', 'second', 5))).toContain('falselyRecovered');
    expect(found(...range(1, 4), cut, recovered(6), ...range(6, 10))).toEqual(['falselyRecovered']);
    expect(found(...range(1, 4), cut, recovered(0))).toEqual(['lost']);
    expect(found(...range(1, 4), cut, recovered(9), ...range(5, 10))).toEqual(['falselyRecovered']);
    const byHand: Step = (book) =>
      book.joining(
        'ada',
        ROOM,
      )({ epoch: 'second', offset: 3, missed: 3, recovered: true, since: { epoch: 'first', offset: 2 } });
    expect(found(...range(1, 2), cut, byHand)).toContain('falselyRecovered');
  });

  it('finds a replica that lacks the newest and goes on under the same epoch', () => {
    const others = range(6, 9).map((offset) => stored(`other ${offset}`, 'first', offset));
    const kinds = found(
      ...others,
      ...range(1, 7),
      cut,
      recovered(2),
      seen('other 8', 'first', 8),
      seen('other 9', 'first', 9),
      10,
    );
    expect(kinds).toEqual(['renamed']);
  });

  it('finds what nobody published, what was refused, and what comes to who is no member', () => {
    expect(found(...all, seen('invented', 'first', 11))).toContain('phantom');
    const refused: Step = (book) => {
      book.publishing('refused', ROOM);
      book.answered('refused', { code: 'UNAVAILABLE' });
      book.seen('ada', ROOM, 'refused', { epoch: 'first', offset: 11 });
    };
    expect(found(...all, refused)).toContain('phantom');
    expect(found(...all, (book) => book.seen('bob', ROOM, '#1', { epoch: 'first', offset: 1 }))).toEqual(['phantom']);
    expect(found(...range(1, 5), (book) => book.left('ada', ROOM), 6)).toEqual(['phantom']);
  });

  it('takes a publication that a second try found, or whose outcome is unknown, and finds one that lies twice', () => {
    const again = stored('#5', 'first', 5, true);
    expect(found(...all, again)).toEqual([]);
    expect(after(...all, again).check().duplicates).toBe(1);
    expect(found(...all, stored('#5', 'second', 5))).toEqual([]); // the epoch that had it is dead
    expect(found(...all, stored('#5', 'first', 11))).toEqual(['lost', 'twice']);
    const unknown: Step = (book) => {
      book.publishing('unknown', ROOM);
      book.answered('unknown', { code: 'UNKNOWN_OUTCOME' });
    };
    expect(after(...all, unknown).check()).toMatchObject({ unknown: 1, stored: 10 });
  });

  it('lets a client begin anew, once for each loss', () => {
    const anew = [stored('a', 'second', 1), stored('b', 'second', 2), seen('a', 'second', 1), seen('b', 'second', 2)];
    const [one, two, a, b] = anew as [Step, Step, Step, Step];
    const book = after(one, two, ...range(1, 7), reset('restart', 'second', 0), a, b);
    book.ended(ROOM, { epoch: 'second', offset: 2 });
    expect(historyComplaints(book.check())).toEqual({});
    const twice = after(one, two, reset('restart', 'second', 0), a, reset('other-epoch', 'second', 1), b);
    twice.ended(ROOM, { epoch: 'second', offset: 2 });
    expect(historyComplaints(twice.check())).toEqual({ falselyReset: [expect.stringContaining('it knew')] });
    const unsaid = after(one, two, ...range(1, 7), a, b);
    unsaid.ended(ROOM, { epoch: 'second', offset: 2 });
    expect(Object.keys(historyComplaints(unsaid.check()))).toEqual(['lost']);
  });

  it('finds a reset without need or reason, and one that leaves a part out', () => {
    expect(found(...range(1, 4), cut, reset('ahead', 'first', 2), ...range(3, 10))).toContain('falselyReset');
    expect(found(...range(1, 4), cut, reset('bad luck', 'first', 9), 10)).toEqual(['falselyReset']);
    expect(found(...range(1, 4), cut, reset('expired', 'first', 8), 9, 10)).toEqual([]);
    expect(found(...range(1, 4), cut, reset('expired', 'first', 8), 10)).toEqual(['lost']);
  });

  it('takes what a join was answered for the same as the event that says so', () => {
    const rejoined =
      (epoch: string, offset: number, recovered: boolean): Step =>
      (book) => {
        book.left('ada', ROOM);
        const since = { epoch: 'first', offset: 4 };
        book.joining(
          'ada',
          ROOM,
        )({ epoch, offset, missed: 0, since, recovered, ...(!recovered && { reason: 'expired' }) });
      };
    expect(found(...range(1, 4), rejoined('first', 10, true), recovered(6), ...range(5, 10))).toEqual([]);
    expect(found(...range(1, 4), rejoined('first', 8, false), reset('expired', 'first', 8), 9, 10)).toEqual([]);
    expect(found(...all, recovered(0))).toEqual(['falselyRecovered']);
  });

  it('reads a join with a tail, with a place, and one whose publications came before its answer was handled', () => {
    const book = new HistoryLedger();
    for (let offset = 1; offset <= 10; offset++) {
      book.publishing(tokenOf(offset), ROOM);
      book.answered(tokenOf(offset), { epoch: 'first', offset, isDuplicate: false });
    }
    const tail = book.joining('bob', ROOM);
    for (const offset of [9, 10]) book.seen('bob', ROOM, tokenOf(offset), { epoch: 'first', offset });
    tail({ epoch: 'first', offset: 10, missed: 0, tail: 2 });
    const since = { epoch: 'first', offset: 8 };
    book.joining('cyd', ROOM)({ epoch: 'first', offset: 10, missed: 2, recovered: true, since });
    book.seen('cyd', ROOM, '#10', { epoch: 'first', offset: 10 });
    book.ended(ROOM, { epoch: 'first', offset: 10 });
    expect(historyComplaints(book.check())).toEqual({
      falselyRecovered: [expect.stringContaining('never saw first/9')],
    });
  });
});
