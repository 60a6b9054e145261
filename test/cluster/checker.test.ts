import { describe, expect, it } from '@jest/globals';
import { complaints, Ledger, type Report } from '../support/ledger.js';
import type { Reception } from '../support/ledger-facts.js';
import type { Count, NodeAccount, Span } from '../support/loss-accounts.js';

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

describe('the checker, with the accounts of the nodes', () => {
  /** Ada and cyd are on node one, bob on node two. What `isLost` names never arrived. */
  function checked(
    isLost: (reception: Reception) => boolean,
    { counts = [], away = [] }: { counts?: Count[]; away?: Span[] },
    refused: number[] = [],
  ): Report {
    const book = ledger((receptions) =>
      receptions
        .flatMap((one) => (one.client === 'ada' && one.room === 'red' ? [one, { ...one, client: 'cyd' }] : [one]))
        .filter((one) => !isLost(one)),
    );
    book.joined('cyd', 'red', START - 20, START - 10);
    for (const one of book.publications)
      if (one.publisher === 'two' && one.room === 'red') one.isRefused = refused.includes(one.n);
    const nodes: NodeAccount[] = [
      { publisher: 'one', clients: new Set(['ada', 'cyd']), counts, away },
      { publisher: 'two', clients: new Set(['bob']), counts: [], away: [] },
    ];
    return book.check({ nodes });
  }
  /** What publisher two sent to red with these numbers, for all clients of node one. */
  const at = (...numbers: number[]): ((reception: Reception) => boolean) => {
    return ({ client, publisher, room, n }) =>
      client !== 'bob' && publisher === 'two' && room === 'red' && numbers.includes(n);
  };
  const timeOf = (n: number): number => START + n * 100;
  const lostOf = (numbers: number[]): string[] =>
    numbers.flatMap((n) => ['ada', 'cyd'].map((client) => `two red #${n} at ${client}`));
  const counted = (count: number, from: number, to = from): Count => ({ from, to, count });

  it('excuses what the node counted before it had the next one', () => {
    const report = checked(at(50, 51, 70), {
      counts: [counted(2, timeOf(52), timeOf(52) + 3), counted(1, timeOf(71))],
    });
    expect(complaints(report)).toEqual({});
    expect(report.excused).toBe(6);
    const busy = checked(at(50, 51), { counts: [counted(2, timeOf(40), timeOf(90))] });
    expect(complaints(busy)).toEqual({});
  });

  it.each<[string, Count[]]>([
    ['nobody counted', []],
    ['was counted before it was sent', [counted(1, timeOf(50) - 10)]],
    ['was counted only after the next one had come', [counted(1, timeOf(51) + 10)]],
  ])('catches a loss that %s', (_, counts) => {
    expect(complaints(checked(at(50), { counts }))).toEqual({ lost: lostOf([50]) });
  });

  it('catches that more was lost than was counted', () => {
    expect(complaints(checked(at(50, 51, 52), { counts: [counted(2, timeOf(53))] }))).toEqual({ lost: lostOf([52]) });
    const both = { counts: [counted(1, timeOf(51)), counted(1, timeOf(61))] };
    expect(complaints(checked(at(50, 60, 70), both))).toEqual({ lost: lostOf([70]) });
  });

  it('catches a loss while the node is away, if it could have counted it', () => {
    const away = [{ from: timeOf(40), to: timeOf(60) }];
    expect(complaints(checked(at(50), { away }))).toEqual({ lost: lostOf([50]) });
  });

  it.each([
    ['first', 1],
    ['last', 100],
  ])('excuses the %s while the node has members in the room only if it is away', (_, n) => {
    expect(complaints(checked(at(n), {}))).toEqual({ lost: lostOf([n]) });
    expect(complaints(checked(at(n), { away: [{ from: timeOf(n) - 5, to: timeOf(n) + 5 }] }))).toEqual({});
    const another = [{ from: timeOf(40), to: timeOf(60) }];
    expect(complaints(checked(at(n), { away: another }))).toEqual({ lost: lostOf([n]) });
  });

  it('catches what the node itself had: from its own publisher, or for another client', () => {
    const counts = [counted(9, timeOf(50), timeOf(51))];
    const own = ({ client, publisher, room, n }: Reception): boolean =>
      client === 'ada' && publisher === 'one' && room === 'red' && n === 50;
    expect(complaints(checked(own, { counts }))).toEqual({ lost: ['one red #50 at ada'] });
    const one = (reception: Reception): boolean => at(50)(reception) && reception.client === 'cyd';
    expect(complaints(checked(one, { counts }))).toEqual({ lost: ['two red #50 at cyd'] });
  });

  it('excuses what its publisher was told is not published, and counts it for nothing else', () => {
    expect(complaints(checked(at(50, 51), {}, [50, 51]))).toEqual({});
    expect(complaints(checked(at(50, 51), {}, [50]))).toEqual({ lost: lostOf([51]) });
  });
});
