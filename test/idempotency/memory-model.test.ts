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
  /** How many had ended before it. */
  order: number;
}

/** The same as the store, as plainly as it can be said. */
class Model {
  readonly known = new Map<string, Known>();
  completeSince = 0;
  forgotten = 0;
  /** In the order in which they were used first. */
  readonly #windows: number[] = [];
  #ended = 0;
  /** Takes room only when another comes, or when it ends. */
  #latest: Known | undefined;

  constructor(private readonly maxKeys: number) {}

  /** @returns what is known of the key; the key itself if it is the asker's */
  claim(
    name: string,
    asker: Asker,
    { windowMs, rerun }: KeyRule,
    now: number,
    ago: number | undefined,
  ): Known | Claim | 'refused' {
    this.settle(now);
    const known = this.known.get(name);
    const isKnown = known !== undefined && known.until > now;
    if (isKnown && !known.ending)
      return known.token === asker.token ? known : { state: 'running', forMs: known.until - now };
    if (isKnown && known.ending?.state === 'kept') return known.ending;
    if (isKnown && !rerun) return { state: 'doubt' };
    if (!isKnown && ago !== undefined && !rerun && (ago >= windowMs || now - ago <= this.completeSince))
      return { state: 'doubt' };
    this.known.delete(name);
    if (this.#ofOwner(asker.owner) >= MAX_PER_USER) this.sweep(now);
    if (this.#ofOwner(asker.owner) >= MAX_PER_USER) return 'refused';
    const { owner, token } = asker;
    const mine = { name, owner, token, windowMs, ending: undefined, until: Infinity, endedAt: 0, order: 0 };
    this.known.set(name, mine);
    return (this.#latest = mine);
  }

  /** The latest runs for longer than its turn, or for longer than until the next one comes. */
  settle(now: number): void {
    if (!this.#latest) return;
    this.#latest.until = now + this.#latest.windowMs;
    this.#latest = undefined;
    this.#makeRoom(now);
  }

  end(mine: Known, ending: Ending, now: number): void {
    if (this.known.get(mine.name) !== mine || mine.ending) return;
    if (this.#latest === mine) this.#latest = undefined;
    if (ending.state === 'free') return void this.known.delete(mine.name);
    Object.assign(mine, { ending, until: now + mine.windowMs, endedAt: now, order: this.#ended++ });
    if (!this.#windows.includes(mine.windowMs)) this.#windows.push(mine.windowMs);
    this.#makeRoom(now);
  }

  sweep(now: number): void {
    this.settle(now);
    for (const [name, { until }] of this.known) if (until <= now) this.known.delete(name);
  }

  /** What runs is in doubt. */
  stop(now: number): void {
    this.settle(now);
    for (const known of this.known.values()) this.end(known, { state: 'doubt' }, now);
  }

  #ofOwner(owner: string): number {
    return [...this.known.values()].filter((known) => known.owner === owner).length;
  }

  #makeRoom(now: number): void {
    while (this.known.size - (this.#latest ? 1 : 0) > this.maxKeys) {
      const ended = [...this.known.values()].filter(({ ending }) => ending);
      const [oldest] = ended.toSorted(
        (one, other) =>
          one.endedAt - other.endedAt ||
          this.#windows.indexOf(one.windowMs) - this.#windows.indexOf(other.windowMs) ||
          one.order - other.order,
      );
      if (!oldest) return;
      this.known.delete(oldest.name);
      if (oldest.until <= now) continue;
      this.forgotten++;
      this.completeSince = oldest.endedAt;
    }
  }
}

const REPLIES = ['r', 'r{"n":1}', 'rü', 'r日本\ud83d\ude00', `r${'x'.repeat(700)}`, `e${'é'.repeat(40_000)}`];

const ODD_KEYS = ['c1', '1', '\ud800', '\udbff', '\ufffd', 'é', '日\n本', '日'];

const step = fc.record({
  act: fc.constantFrom(
    'next',
    'next',
    'next',
    'claim',
    'claim',
    'end',
    'end',
    'end',
    'again',
    'again',
    'sweep',
    'look',
  ),
  owner: fc.constantFrom('ada', 'eve', 'user 3 b\nb'),
  route: fc.constantFrom(...Object.keys(ROUTES)),
  // Lone surrogates, and one that is the end of another route with a key.
  key: fc.oneof(fc.nat(60).map(String), fc.constantFrom(...ODD_KEYS)),
  rerun: fc.boolean(),
  ago: fc.option(fc.nat(300), { nil: undefined, freq: 3 }),
  ending: fc.oneof(
    fc.constantFrom<Ending>({ state: 'free' }, { state: 'doubt' }),
    fc.constantFrom(...REPLIES).map((reply): Ending => ({ state: 'kept', reply })),
    fc.constantFrom(...REPLIES).map((reply): Ending => ({ state: 'kept', reply })),
  ),
  // Many steps in one turn, or each in one of its own.
  passes: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, fc.constant(1), fc.nat(5), fc.nat(100)),
  pick: fc.nat(),
});

describe('a store of replies in memory', () => {
  it('C5: says what a plain map would say, whatever comes in whatever order', () => {
    const steps = fc.array(step, { minLength: 200, maxLength: 2_500 });
    const run = fc.property(steps, fc.constantFrom(8, 50, 100_000), (all, maxKeys) => {
      let now = 1;
      let told = 0;
      let atTurnsEnd: (() => void)[] = [];
      const failures: unknown[] = [];
      const store = new MemoryReplyStore({
        clock: { now: () => now, soon: (task) => void atTurnsEnd.push(task), every: () => () => undefined },
        maxKeys,
        maxBytes: 1e9,
        maxPerUser: MAX_PER_USER,
        forgot: (keys) => void (told += keys),
        failed: (error) => void failures.push(error),
      });
      const model = new Model(maxKeys);
      model.completeSince = now;
      const held: { mine: Mine; known: Known }[] = [];
      const asked: Asker[] = [];
      const pass = (ms: number): void => {
        if (ms === 0) return;
        for (const task of atTurnsEnd) task();
        atTurnsEnd = [];
        now += ms;
      };
      const claim = (asker: Asker, rerun: boolean, ago?: number): void => {
        const rule = { windowMs: ROUTES[asker.route] as number, rerun };
        const name = JSON.stringify([asker.owner, asker.route, asker.key]);
        let claimed: Claim | 'refused' = 'refused';
        try {
          claimed = store.claim(asker, rule, ago);
        } catch (error) {
          expect(error).toMatchObject({ code: 'RATE_LIMITED' });
        }
        const expected = model.claim(name, asker, rule, now, ago);
        if (claimed !== 'refused' && claimed.state === 'mine') {
          expect(model.known.get(name)).toBe(expected);
          held.push({ mine: claimed, known: expected as Known });
        } else expect(claimed).toEqual(expected);
      };
      for (const [n, { act, owner, route, key, rerun, ago, ending, passes, pick }] of all.entries()) {
        pass(passes);
        // Often what came last: it is the latest, or ended in this turn.
        const at = pick % 2 === 0 ? held.length - 1 : pick % Math.max(1, held.length);
        const one = held[at];
        const again = asked[pick % 2 === 0 ? asked.length - 1 - (pick % 7) : pick % Math.max(1, asked.length)];
        if (act === 'sweep') {
          store.sweep();
          model.sweep(now);
        } else if (act === 'look') {
          model.settle(now);
          expect(store.size).toBe(model.known.size);
        } else if (act === 'end' && one) {
          store.end(one.mine as never, ending);
          model.end(one.known, ending, now);
          if (pick % 3 > 0) held.splice(at, 1); // or it says so again
        } else if (act === 'again' && again) {
          claim(pick % 3 === 0 ? again : { ...again, token: `token ${n}` }, rerun, ago);
        } else {
          // Some owners have only keys in order, as our client makes them.
          const isNext = act === 'next' || owner === 'ada';
          const asker = { owner, route, key: isNext ? `k${1e6 + n}` : key, token: `token ${n}` };
          asked.push(asker);
          claim(asker, rerun, ago);
        }
      }
      if (all.length % 2 === 0) {
        void store.stop();
        model.stop(now);
      }
      for (const asker of asked) claim({ ...asker, token: 'last' }, false, 0);
      model.settle(now);
      expect(store.size).toBe(model.known.size);
      pass(10_000);
      store.sweep();
      expect({ size: store.size, told, failures }).toEqual({ size: 0, told: model.forgotten, failures: [] });
    });
    fc.assert(run, { numRuns: 60, endOnFailure: true }); // prints its seed when it fails
  });

  it('C5: finds each of many keys that came in order, when somebody looks for them at last', () => {
    const [owners, keys, maxKeys] = [50, 30_000, 20_000];
    const store = new MemoryReplyStore({
      clock: { now: () => 1, soon: () => undefined, every: () => () => undefined },
      maxKeys,
      maxBytes: 1e9,
      maxPerUser: keys,
      forgot: () => undefined,
      failed: () => undefined,
    });
    const rule = { windowMs: 1_000, rerun: false };
    const asker = (n: number): Asker => ({ owner: `owner ${n % owners}`, route: 'a/b', key: `k${1e6 + n}`, token: '' });
    const send = (n: number): void => {
      const claim = store.claim(asker(n), rule);
      expect(claim).toMatchObject({ state: 'mine' });
      store.end(claim as never, { state: 'kept', reply: `r${n}` });
    };
    for (let n = 0; n < keys; n++) send(n);
    // Further ones come, and the oldest are forgotten, while there are still some that it never looked at.
    for (let n = keys; n < keys + maxKeys; n++) {
      send(n);
      const old = n - ((n * 7_919) % (maxKeys - 200));
      expect(store.claim(asker(old), rule)).toEqual({ state: 'kept', reply: `r${old}` });
      const others = { ...asker(old), owner: `owner ${(old + 1) % owners}`, token: 'new' };
      if (n % 100 > 0) continue;
      const claim = store.claim(others, rule);
      expect(claim).toMatchObject({ state: 'mine' });
      store.end(claim as never, { state: 'free' });
    }
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
      const table = new PlaceTable();
      const refill = (): void => {
        table.clear(model.length);
        for (const one of model) table.add(...one);
      };
      for (const [n, { hash: added, adds, pick }] of all.entries()) {
        if (adds < often || model.length === 0) {
          model.push([added, n + 1]);
          if (table.hasRoomFor(1)) table.add(added, n + 1);
          else refill();
        } else model.splice(pick % model.length, 1);
        if (pick % 100 === 0 || table.isMuchFor(model.length)) refill();
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
    const log = new ReplyLog({ now: () => 0 });
    const [ada, eve] = [1, 2];
    const rule = { windowMs: 1_000 };
    for (const [n, reply] of [undefined, '', 'r1', 'r\ud800ü'].entries()) {
      const asker = { route: 'a/b', key: `c\nd${n}` };
      log.add({ owner: { id: ada }, rule, asker }, reply);
      expect([log.isFresh(ada, 'a/b', asker.key), log.isFresh(eve, 'a/b', asker.key)]).toEqual([true, false]);
      log.write();
      const place = log.find(ada, 'a/b', asker.key);
      expect(place).toBeGreaterThan(0);
      expect(log.replyAt(place)).toBe(reply);
      for (const [owner, route, key] of [
        [eve, 'a/b', asker.key],
        [ada, 'a/b', `${asker.key}r`],
        [ada, 'a/b', 'c\nd'],
        [ada, 'a/b\nc', `d${n}`],
        [ada, 'a/', `b\n${asker.key}`],
        [ada, 'a/b', `c\ne${n}`],
      ] as const)
        expect(log.find(owner, route, key)).toBe(0);
      log.giveUp(place);
      expect(log.find(ada, 'a/b', asker.key)).toBe(0);
    }
  });

  it('C5: keeps each text as it is, wherever a page ends', () => {
    const log = new ReplyLog({ now: () => 0 });
    const texts = ['日', 'ü日', 'aü', 'a', '\ud800', 'ab', '日日日'];
    const keys = Array.from({ length: 3_000 }, (_, n) => `${texts[n % 7]}${n}${texts[(n * 3) % 7]}`);
    const reply = (n: number): string | undefined =>
      n % 3 === 0 ? undefined : `r${texts[n % 7]?.repeat((n * 7) % 90)}`;
    const rule = { windowMs: 1_000 };
    for (const [n, key] of keys.entries()) {
      log.add({ owner: { id: 1 }, rule, asker: { route: 'a/b', key } }, reply(n));
      if (n % 50 === 0 || n % 77 === 0) log.write();
    }
    log.write();
    for (const [n, key] of keys.entries()) expect(log.replyAt(log.find(1, 'a/b', key))).toBe(reply(n));
  });

  it('counts the memory of its pages, also where few entries fit, and frees it', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const log = new ReplyLog({ now: () => 0 });
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
    for (let n = 0; n < 2_000; n++) {
      const rule = { windowMs: n % 2 === 0 ? 1_000 : 2_000 };
      log.add({ owner: { id: 1 }, rule, asker: { route: 'a/b', key: `${n}` } }, texts[n % 5]);
      log.write();
    }
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
