import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';
import { MemoryReplyStore } from '../../lib/idempotency/memory-reply-store.js';
import { PlaceTable } from '../../lib/idempotency/place-table.js';
import { ReplyLog } from '../../lib/idempotency/reply-log.js';
import type { Asker, Claim, Ending, KeyRule, Mine } from '../../lib/idempotency/reply-store.js';
import { until } from '../support/until.js';

/** Each route has its window. */
const ROUTES: Record<string, number> = { 'a/b': 40, 'a/bc': 200, 'd/e': 3_000 };
const MAX_PER_USER = 40;

interface Known {
  name: string;
  windowMs: number;
  owner: string;
  token: string;
  ending: Ending | undefined;
  until: number;
  endedAt: number;
}

/** The same as the store, as plainly as it can be said. */
class Model {
  readonly known = new Map<string, Known>();
  completeSince = 0;
  forgotten = 0;

  constructor(private readonly maxKeys: number) {}

  /** @returns what is known of the key; the key itself if it is the asker's */
  claim(
    name: string,
    asker: Asker,
    { windowMs, rerun }: KeyRule,
    now: number,
    ago: number | undefined,
  ): Known | Claim | 'refused' {
    const known = this.known.get(name);
    const isKnown = known !== undefined && known.until > now;
    if (isKnown && !known.ending)
      return known.token === asker.token ? known : { state: 'running', forMs: known.until - now };
    if (isKnown && known.ending?.state === 'kept') return known.ending;
    if (isKnown && !rerun) return { state: 'doubt' };
    if (!isKnown && ago !== undefined && !rerun && (ago >= windowMs || now - ago < this.completeSince))
      return { state: 'doubt' };
    this.known.delete(name);
    if (this.#ofOwner(asker.owner) >= MAX_PER_USER) this.sweep(now);
    if (this.#ofOwner(asker.owner) >= MAX_PER_USER) return 'refused';
    const { owner, token } = asker;
    const mine = { name, owner, token, windowMs, ending: undefined, until: now + windowMs, endedAt: 0 };
    this.known.set(name, mine);
    this.#makeRoom(now);
    return mine;
  }

  end(mine: Known, ending: Ending, now: number): void {
    if (this.known.get(mine.name) !== mine || mine.ending) return;
    if (ending.state === 'free') this.known.delete(mine.name);
    else Object.assign(mine, { ending, until: now + mine.windowMs, endedAt: now });
    this.#makeRoom(now);
  }

  sweep(now: number): void {
    for (const [name, { until }] of this.known) if (until <= now) this.known.delete(name);
  }

  #ofOwner(owner: string): number {
    return [...this.known.values()].filter((known) => known.owner === owner).length;
  }

  #makeRoom(now: number): void {
    while (this.known.size > this.maxKeys) {
      const ended = [...this.known].filter(([, { ending }]) => ending);
      const [oldest] = ended.toSorted(([, one], [, other]) => one.endedAt - other.endedAt);
      if (!oldest) return;
      this.known.delete(oldest[0]);
      if (oldest[1].until <= now) continue;
      this.forgotten++;
      this.completeSince = now;
    }
  }
}

const REPLIES = ['r', 'r{"n":1}', 'rü', 'r日本\ud83d\ude00', `r${'x'.repeat(700)}`, `e${'é'.repeat(40_000)}`];

const step = fc.record({
  act: fc.constantFrom('claim', 'claim', 'claim', 'end', 'end', 'again', 'sweep'),
  owner: fc.constantFrom('ada', 'eve', 'user 3 b\nb'),
  route: fc.constantFrom(...Object.keys(ROUTES)),
  // Lone surrogates, and one that is the end of another route with a key.
  key: fc.oneof(fc.nat(60).map(String), fc.constantFrom('c1', '1', '\ud800', '\udbff', '\ufffd', 'é', '日\n本')),
  rerun: fc.boolean(),
  ago: fc.option(fc.nat(300), { nil: undefined, freq: 3 }),
  ending: fc.oneof(
    fc.constantFrom<Ending>({ state: 'free' }, { state: 'doubt' }),
    fc.constantFrom(...REPLIES).map((reply): Ending => ({ state: 'kept', reply })),
    fc.constantFrom(...REPLIES).map((reply): Ending => ({ state: 'kept', reply })),
  ),
  passes: fc.oneof(fc.constant(1), fc.nat(5), fc.nat(100)),
  pick: fc.nat(),
});

describe('a store of replies in memory', () => {
  it('C5: says what a plain map would say, whatever comes in whatever order', () => {
    const steps = fc.array(step, { minLength: 200, maxLength: 1_500 });
    const run = fc.property(steps, fc.constantFrom(8, 50, 100_000), (all, maxKeys) => {
      let now = 1;
      let told = 0;
      const failures: unknown[] = [];
      const store = new MemoryReplyStore({
        clock: { now: () => now, every: () => () => undefined },
        maxKeys,
        maxBytes: 1e9,
        maxPerUser: MAX_PER_USER,
        forgot: (keys) => void (told += keys),
        failed: (error) => void failures.push(error),
      });
      const model = new Model(maxKeys);
      model.completeSince = now;
      const held: { mine: Mine; known: Known; asker: Asker }[] = [];
      for (const [n, { act, owner, route, key, rerun, ago, ending, passes, pick }] of all.entries()) {
        now += Math.max(1, passes); // no two keys end at once
        const one = held[pick % held.length];
        if (act === 'sweep') {
          store.sweep();
          model.sweep(now);
        } else if (act === 'end' && one) {
          store.end(one.mine as never, ending);
          model.end(one.known, ending, now);
          if (pick % 3 > 0) held.splice(pick % held.length, 1); // or it says so again
        } else {
          const isAgain = act === 'again' && one !== undefined;
          const asker = isAgain ? one.asker : { owner, route, key, token: `token ${n}` };
          const rule = { windowMs: ROUTES[asker.route] as number, rerun };
          const name = JSON.stringify([asker.owner, asker.route, asker.key]);
          let claim: Claim | 'refused' = 'refused';
          try {
            claim = store.claim(asker, rule, ago);
          } catch (error) {
            expect(error).toMatchObject({ code: 'RATE_LIMITED' });
          }
          const expected = model.claim(name, asker, rule, now, ago);
          if (claim !== 'refused' && claim.state === 'mine') {
            expect(model.known.get(name)).toBe(expected);
            held.push({ mine: claim, known: expected as Known, asker });
          } else expect(claim).toEqual(expected);
        }
        expect(store.size).toBe(model.known.size);
      }
      now += 10_000;
      store.sweep();
      expect({ size: store.size, told, failures }).toEqual({ size: 0, told: model.forgotten, failures: [] });
    });
    fc.assert(run, { numRuns: 60, endOnFailure: true }); // prints its seed when it fails
  });
});

describe('a table of places', () => {
  it('finds each place by its hash, however many have the same one, and whatever ended without a word', () => {
    // Few hashes, at the beginning and at the end of the table, so that they run into each other.
    const hash = fc.oneof(fc.constantFrom(0, 1, -1, -2, 1 << 24, -(1 << 24)), fc.integer());
    const steps = fc.array(fc.record({ hash, adds: fc.integer({ min: 0, max: 9 }), pick: fc.nat() }), {
      minLength: 100,
      maxLength: 3_000,
    });
    const run = fc.property(steps, fc.integer({ min: 2, max: 8 }), (all, often) => {
      const model: [hash: number, place: number][] = [];
      const table = new PlaceTable((add) => {
        for (const one of model) add(...one);
      });
      for (const [n, { hash: added, adds, pick }] of all.entries()) {
        const at = pick % Math.max(1, model.length);
        const known = model[at];
        if (adds < often || !known) {
          model.push([added, n + 1]);
          table.add(added, n + 1);
        } else if (pick % 4 === 0) {
          model[at] = [known[0], -n - 1];
          table.replace(...known, -n - 1);
        } else {
          model.splice(at, 1);
          if (pick % 4 === 1) table.delete(...known);
        }
        if (pick % 100 === 0) table.refill();
        if (n % 50 > 0 && n < all.length - 1) continue;
        const live = new Set(model.map(([, place]) => place));
        for (const wanted of new Set(model.map(([its]) => its))) {
          const found: number[] = [];
          for (let cell = table.find(wanted); cell >= 0; cell = table.find(wanted, cell))
            found.push(table.placeAt(cell));
          const places = model.filter(([its]) => its === wanted).map(([, place]) => place);
          expect(found.filter((place) => live.has(place)).toSorted((a, b) => a - b)).toEqual(
            places.toSorted((a, b) => a - b),
          );
        }
      }
    });
    fc.assert(run, { numRuns: 40, endOnFailure: true });
  });
});

/** Empty ones that a log keeps for later entries. */
const SPARE_PAGES = 16;

describe('a log of replies', () => {
  it('C5: takes no entry for that of another owner, route or key, whose hash may be the same', () => {
    const log = new ReplyLog();
    const [ada, eve] = [1, 2];
    const entry = { owner: { id: ada }, hash: 7, windowMs: 1_000, asker: { route: 'a/b', key: 'c\nd' } };
    const places = [undefined, '', 'r1', 'r\ud800ü'].map((reply) => log.append(entry, 1, reply));
    expect(places.map((place) => log.replyAt(place))).toEqual([undefined, '', 'r1', 'r\ud800ü']);
    for (const place of places) {
      expect(log.isFor(place, ada, 'a/b', 'c\nd')).toBe(true);
      expect(log.isFor(place, eve, 'a/b', 'c\nd')).toBe(false);
      expect(log.isFor(place, ada, 'a/b\nc', 'd')).toBe(true); // no route has a line break
      for (const [route, key] of [
        ['a/b', 'c\n'],
        ['a/b', 'c\ndr'],
        ['a/', 'b\nc\nd'],
        ['a/b', 'c\ne'],
      ] as const)
        expect(log.isFor(place, ada, route, key)).toBe(false);
      log.giveUp(place);
      expect(log.isFor(place, ada, 'a/b', 'c\nd')).toBe(false);
    }
  });

  it('counts the memory of its pages, also where few entries fit, and frees it', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const log = new ReplyLog();
    const texts = [22_000, 10, 33_000, 60_000, 1_000].map((length) => 'r'.repeat(length));
    const pages: WeakRef<Buffer>[] = [];
    let taken = 0;
    const { allocUnsafeSlow } = Buffer;
    // Not the memory of the process: other garbage may be freed meanwhile.
    const allocate = jest.spyOn(Buffer, 'allocUnsafeSlow').mockImplementation((bytes) => {
      const page = allocUnsafeSlow(bytes);
      pages.push(new WeakRef(page));
      taken += bytes;
      return page;
    });
    for (let n = 0; n < 2_000; n++)
      log.append(
        { owner: { id: 1 }, hash: n, windowMs: n % 2 === 0 ? 1_000 : 2_000, asker: { route: 'a/b', key: `${n}` } },
        1,
        texts[n % 5],
      );
    allocate.mockRestore();
    expect(taken).toBeGreaterThan(40_000_000);
    expect(log.bytes).toBeGreaterThan(0.98 * taken); // without the two open pages
    for (const window of log.windows) while (log.endOf(window) < Infinity) log.forgetOldest(window);
    expect([log.size, log.bytes]).toEqual([0, 0]);
    await until(() => {
      collectGarbage();
      return pages.filter((page) => page.deref()).length <= SPARE_PAGES;
    });
  });
});
