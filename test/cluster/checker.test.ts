import { describe, expect, it } from '@jest/globals';
import { complaints, Ledger, type Reception } from '../support/ledger.js';

const START = 1_000_000;

/** Two publishers, two rooms, three clients; bob leaves red half-way. What `mutate` makes of the receptions arrives. */
function ledger(mutate: (receptions: Reception[]) => Reception[] = (receptions) => receptions): Ledger {
  const book = new Ledger();
  const receptions: Reception[] = [];
  const left = START + 5_000;
  book.joined('ada', 'red', START - 20, START - 10);
  book.joined('bob', 'red', START - 20, START - 10);
  book.joined('bob', 'blue', START - 20, START - 10);
  book.left('bob', 'red', left, left + 10);
  for (let n = 1; n <= 100; n++) {
    for (const publisher of ['one', 'two']) {
      for (const [room, members] of Object.entries({ red: ['ada', 'bob'], blue: ['bob'] })) {
        const at = START + n * 100;
        book.published({ publisher, room, n, at });
        for (const client of members) {
          if (client === 'bob' && room === 'red' && at >= left) continue;
          receptions.push({ client, publisher, room, n, at: at + 3 });
        }
      }
    }
  }
  for (const reception of mutate(receptions)) book.received(reception);
  return book;
}

const found = (mutate?: (receptions: Reception[]) => Reception[]): Record<string, string[]> =>
  complaints(ledger(mutate).check());

const at = ({ client, publisher, room, n }: Partial<Reception>) => {
  const is = (one: Reception): boolean =>
    one.client === client && one.publisher === publisher && one.room === room && one.n === n;
  return { in: (receptions: Reception[]): number => receptions.findIndex(is) };
};

describe('the checker', () => {
  const victim = { client: 'ada', publisher: 'one', room: 'red', n: 50 };

  it('has nothing to say of a faultless run', () => {
    expect(found()).toEqual({});
    expect(ledger().check()).toMatchObject({ expected: 200 + 200 + 2 * 39, received: 200 + 200 + 2 * 49, excused: 0 });
  });

  it.each([1, 50, 100])('catches that message %i was dropped', (n) => {
    const drop = (receptions: Reception[]): Reception[] => receptions.toSpliced(at({ ...victim, n }).in(receptions), 1);
    expect(found(drop)).toEqual({ lost: [`one red #${n} at ada`] });
  });

  it('catches that one came twice, at once or much later', () => {
    const double = (receptions: Reception[]): Reception[] =>
      receptions.flatMap((one, index) => (index === at(victim).in(receptions) ? [one, one] : [one]));
    const again = (receptions: Reception[]): Reception[] => [
      ...receptions,
      { ...(receptions[at(victim).in(receptions)] as Reception) },
    ];
    expect(found(double)).toEqual({ duplicated: ['one red #50 at ada'] });
    expect(found(again)).toEqual({ duplicated: ['one red #50 at ada'] });
  });

  it('catches that two of one publisher and room came the other way round', () => {
    const swap = (receptions: Reception[]): Reception[] => {
      const [first, second] = [at(victim).in(receptions), at({ ...victim, n: 51 }).in(receptions)];
      const swapped = [...receptions];
      [swapped[first], swapped[second]] = [receptions[second] as Reception, receptions[first] as Reception];
      return swapped;
    };
    expect(found(swap)).toEqual({ reordered: ['one red #50 at ada'] });
  });

  it('lets two publishers, or two rooms, overtake each other', () => {
    const sorted = (receptions: Reception[]): Reception[] =>
      receptions.toSorted((a, b) => `${b.publisher}${b.room}`.localeCompare(`${a.publisher}${a.room}`) || a.n - b.n);
    expect(found(sorted)).toEqual({});
  });

  it('catches a copy for a client that is no member, was one before, or only asked later', () => {
    const leak = (reception: Reception) => (receptions: Reception[]) => [...receptions, reception];
    const blue = { client: 'ada', publisher: 'one', room: 'blue', n: 50, at: START + 5_003 };
    expect(found(leak(blue))).toEqual({ phantom: ['one blue #50 at ada'] });
    const former = { client: 'bob', publisher: 'one', room: 'red', n: 90, at: START + 9_003 };
    expect(found(leak(former))).toEqual({ phantom: ['one red #90 at bob'] });
    const early = ledger(leak({ ...blue, client: 'cyd' }));
    early.joined('cyd', 'blue', START + 6_000, START + 6_010);
    expect(complaints(early.check())).toMatchObject({ phantom: ['one blue #50 at cyd'] });
  });

  it('catches a message that nobody published', () => {
    const invent = (receptions: Reception[]): Reception[] => [
      ...receptions,
      { client: 'ada', publisher: 'one', room: 'red', n: 101, at: START + 10_100 },
    ];
    expect(found(invent)).toEqual({ phantom: ['one red #101 at ada'] });
  });

  it('catches a message delivered long after it was sent', () => {
    const delay = (receptions: Reception[]): Reception[] =>
      receptions.map((one, index) => (index === at(victim).in(receptions) ? { ...one, at: one.at + 6_000 } : one));
    expect(found(delay)).toEqual({ stale: ['one red #50 at ada'] });
  });

  it('excuses a loss in the time of a fault, and nothing else', () => {
    const book = ledger((receptions) => {
      const [lost, twice] = [at(victim).in(receptions), at({ ...victim, n: 51 }).in(receptions)];
      return receptions.flatMap((one, index) => (index === lost ? [] : index === twice ? [one, one] : [one]));
    });
    book.fault(START + 4_900, START + 5_200);
    const report = book.check();
    expect(complaints(report)).toEqual({ duplicated: ['one red #51 at ada'] });
    expect(report.excused).toBe(1);
  });
});
