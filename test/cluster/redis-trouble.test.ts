import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type ClusterNode, Fleet } from '../support/cluster-node.js';
import { complaints, Ledger } from '../support/ledger.js';
import type { Peer } from '../support/peer.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { join, leave, listenTo, member, publishing } from '../support/scribe.js';
import { Stopwatch } from '../support/stopwatch.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';

const describeWithRedis = hasRedis() ? describe : describe.skip;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Two nodes, each with a proxy of its own before one Redis, go from one trouble into the next. */
describeWithRedis('trouble with Redis', () => {
  let redis: TestRedis;
  let proxies: [TcpProxy, TcpProxy];
  let one: ClusterNode;
  let two: ClusterNode;
  let round = 0;
  const fleet = new Fleet(() => ({}));
  const both = (): ClusterNode[] => [one, two];
  const haveState = (state: string, nodes = both(), promisedMs?: number): Promise<unknown> =>
    Promise.all(nodes.map((node) => until(async () => (await node.state()) === state, promisedMs)));

  beforeAll(async () => {
    redis = await TestRedis.reserve(['--appendonly', 'yes', '--appendfsync', 'always']);
    proxies = [await TcpProxy.start(redis.port), await TcpProxy.start(redis.port)];
    [one, two] = proxies.map(({ url }) => fleet.spawn({ redis: url })) as [ClusterNode, ClusterNode];
    await Promise.all([one.created, two.created]);
  });
  afterAll(async () => {
    await fleet.stop();
    await Promise.all(proxies.map((proxy) => proxy.stop()));
    await redis.stop();
  });

  afterEach(async () => {
    redis.thaw();
    await redis.run('PING').catch(() => redis.start());
    for (const proxy of proxies) proxy.heal();
    await Promise.all(both().map((node) => node.call('halt')));
    for (const peer of both().flatMap((node) => node.peers.splice(0))) peer.terminate();
  });

  interface Trouble {
    begins(): Promise<void> | void;
    /** How long it lasts after the nodes have noticed, in ms. */
    lastsMs?: number;
    ends(): Promise<void> | void;
    /** The nodes that are cut off. @default both */
    hit?: () => ClusterNode[];
    afterwards?: (members: { ada: Peer; bob: Peer }) => Promise<void>;
  }

  /**
   * Both nodes publish all the while. Nobody loses its socket, local members miss nothing at all, others only what was
   * sent while it lasted; changes made meanwhile are known everywhere within 5 s of its end, and nothing old comes late.
   */
  async function survive({ begins, lastsMs = 1_000, ends, hit = both, afterwards }: Trouble): Promise<void> {
    const room = `room${++round}`;
    const ledger = new Ledger();
    const [ada, bob, goes, moves] = await Promise.all([
      member(one, ledger, room),
      member(two, ledger, room),
      member(one, ledger, room),
      member(one, ledger, room),
    ]);
    await Promise.all(both().map((node) => node.knows([ada, bob, goes, moves])));
    const errorsBefore = (await one.call('status')).errors.length;
    const halts = [
      publishing(one, ledger, { publisher: 'one', rooms: [room], gapMs: 20 }),
      publishing(two, ledger, { publisher: 'two', rooms: [room], gapMs: 20 }),
    ];
    const warmUp = new Stopwatch();
    await pause(300);
    const onItsWayMs = 50 + warmUp.lostMs; // what was sent so shortly before it, too, may be lost
    const began = Date.now();
    await begins();
    await haveState('down', hit());
    const noticed = Date.now();
    await until(async () => (await one.call('status')).errors.length > errorsBefore); // at most one a second
    // The world goes on: one comes, one goes, one moves to another room.
    const comes = await one.connect();
    listenTo(comes, ledger);
    await join(comes, ledger, room);
    ledger.left(goes.clientId, room, began, Infinity);
    goes.terminate();
    await leave(moves, ledger, room);
    await moves.join('elsewhere');
    const watch = new Stopwatch();
    await expect(one.call('send', 'rooms', [room], 'in the outage')).rejects.toThrow(/not handed to Redis/);
    expect(watch.ms).toBeLessThan(5_000); // at once: nobody waits for Redis, which would take longer
    await Promise.all([ada, comes].map((peer) => peer.take(({ data }) => data === 'in the outage')));
    await pause(lastsMs);
    await ends();
    const ended = Date.now();
    const sinceItsEnd = new Stopwatch();
    await haveState('ready', both(), 5_000);
    await Promise.all(both().map((node) => node.knows([ada, bob, comes, moves], 5_000 - sinceItsEnd.ms)));
    const inRoom = [ada, bob, comes].map(({ clientId }) => clientId).toSorted();
    for (const node of both()) {
      await until(async () => String((await node.call('members', room)).toSorted()) === String(inRoom));
      expect(await node.call('members', 'elsewhere')).toEqual([moves.clientId]);
    }
    const recovered = Date.now();
    ledger.fault(began - onItsWayMs, recovered);
    await pause(500);
    await Promise.all(halts.map((halt) => halt()));
    await one.call('send', 'rooms', [room], 'over');
    await two.call('send', 'rooms', [room], 'over');
    for (const peer of [ada, bob, comes]) {
      for (const _ of both()) await peer.take(({ data }) => data === 'over');
      expect(peer.ws.readyState).toBe(peer.ws.OPEN);
    }
    const report = ledger.check();
    const { counters } = await one.call('status');
    console.info(
      `noticed after ${noticed - began} ms, recovered ${recovered - ended} ms after its end; of ${report.expected} ` +
        `copies ${report.excused} were not delivered; node one counted ${JSON.stringify(counters)}`,
    );
    const found = Object.entries(complaints(report)).map(([what, which]) => `${which.length} ${what}: ${which[0]}`);
    expect(found).toEqual([]);
    for (const [publisher, client] of [
      ['one', ada.clientId],
      ['two', bob.clientId],
    ] as const) {
      const local = ledger.receptions.filter((one) => one.publisher === publisher && one.client === client);
      expect(local).toHaveLength(ledger.publications.filter((one) => one.publisher === publisher).length);
    }
    expect(counters.unpublished).toBeGreaterThan(0);
    expect(bob.received.filter(({ data }) => data === 'in the outage')).toEqual([]);
    await afterwards?.({ ada, bob });
    for (const peer of [ada, bob, comes, moves]) peer.terminate();
    await Promise.all(both().map((node) => node.knows([])));
  }

  it('refused at the start: it says so, is not ready, and starts once Redis comes', async () => {
    await Promise.all(
      both().map((node) => until(async () => (await node.call('status')).errors.some((e) => /ECONN|closed/i.test(e)))),
    );
    for (const node of both())
      expect(await node.call('status')).toMatchObject({ state: 'starting', isListening: false });
    await redis.start();
    await Promise.all([one.ready, two.ready]);
    await haveState('ready');
  });

  it('D6 D7 its connections are dropped', async () => {
    await survive({
      begins: async () => {
        for (const proxy of proxies) proxy.cut();
      },
      lastsMs: 200,
      ends: () => proxies.forEach((proxy) => proxy.heal()),
    });
  });

  it('CLIENT KILL alone heals by itself', async () => {
    const ledger = new Ledger();
    const [ada, bob] = [await member(one, ledger, 'kill'), await member(two, ledger, 'kill')];
    for (let n = 0; n < 3; n++) {
      await redis.run('CLIENT', 'KILL', 'TYPE', 'pubsub');
      await redis.run('CLIENT', 'KILL', 'TYPE', 'normal');
      await pause(100);
    }
    await haveState('ready', both(), 5_000);
    await one.call('send', 'rooms', ['kill'], 'from one');
    await two.call('send', 'rooms', ['kill'], 'from two');
    for (const peer of [ada, bob]) {
      await peer.take(({ data }) => data === 'from one');
      await peer.take(({ data }) => data === 'from two');
      peer.terminate();
    }
    await Promise.all(both().map((node) => node.knows([])));
  });

  it('D6 D7 it is killed and comes back with its data', async () => {
    await survive({ begins: () => redis.kill({ forgets: false }), ends: () => redis.start() });
  });

  it('D6 D7 it is killed and comes back without its data', async () => {
    await survive({
      begins: () => redis.kill(),
      ends: () => redis.start(),
      afterwards: async () => expect(await redis.run('KEYS', 'pxl:{*}:lease')).toHaveLength(2),
    });
  });

  it('D6 D7 it is away for longer than the leases last', async () => {
    await survive({ begins: () => redis.kill({ forgets: false }), lastsMs: 8_000, ends: () => redis.start() });
  });

  it('D6 D7 it is frozen for 15 s', async () => {
    await survive({ begins: () => redis.freeze(), lastsMs: 8_000, ends: () => redis.thaw() });
  });

  it('D6 D7 one node is behind a black hole', async () => {
    await survive({
      begins: () => proxies[0].blackhole(),
      lastsMs: 4_000,
      ends: () => proxies[0].heal(),
      hit: () => [one],
    });
  });

  it('keeps its memory bounded while a frozen Redis is published to', async () => {
    const before = (await one.call('status')).rss;
    redis.freeze();
    await one.call('publish', { publisher: 'flood', rooms: ['nobody'], count: 60_000, padding: 10_000 });
    const { rss, counters } = await one.call('status');
    redis.thaw();
    console.info(`60,000 messages of 10 kB to a frozen Redis: ${Math.round((rss - before) / 1e6)} MB more`);
    expect(rss - before).toBeLessThan(400e6); // of 600
    expect(counters.unpublished).toBeGreaterThan(40_000);
    await haveState('ready');
  });

  it('leaves nothing in Redis but the registry, and since when it has lost no key of a message', async () => {
    const keys = (await redis.run('KEYS', '*')) as string[];
    const known = /^pxl:(nodes|\{[\w-]+\}:(lease|clients)|\{once:[\da-f]\}:facts)$/;
    expect(keys.filter((key) => !known.test(key))).toEqual([]);
    for (const key of keys) expect([key, Number(await redis.run('PTTL', key))]).not.toEqual([key, -1]);
  });
});
