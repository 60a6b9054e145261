import { beforeEach, describe, expect, it } from '@jest/globals';
import { Lane, type Suspects } from '../../lib/cluster/lane.js';
import type { TransportState } from '../../lib/cluster/transport.js';
import { ManualClock } from '../support/manual-clock.js';

/** As ioredis has what Redis refuses. */
const refusal = (message: string): Error => Object.assign(new Error(message), { name: 'ReplyError' });
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a way in', () => {
  let clock: ManualClock;
  let lane: Lane;
  let way: { name: string; state: TransportState; answer: () => Promise<unknown>; commands: string[][] };
  let sent: number[];
  let silent: Suspects[];
  /** What becomes of a probe; undefined: it isn't answered. */
  let published: () => Promise<unknown>;
  let isHeard: boolean;
  let isOpen: boolean;

  beforeEach(async () => {
    clock = new ManualClock();
    sent = [];
    silent = [];
    isHeard = true;
    isOpen = true;
    published = () => Promise.resolve(1);
    way = { name: 'redis', state: 'up', answer: () => Promise.resolve(), commands: [] };
    const command = (channels: readonly string[]): Promise<unknown> => {
      way.commands.push([...channels]);
      return way.answer();
    };
    lane = new Lane(
      {
        ...way,
        get state() {
          return way.state;
        },
        sharesCommands: () => true,
        subscribe: command,
        unsubscribe: command,
        rebuild: () => undefined,
      },
      {
        clock,
        random: () => 0.5,
        canPublish: () => isOpen,
        probeChannel: 'probe',
        publish: (_, text) => {
          sent.push(Number(text));
          if (isHeard) lane.heard(Number(text));
          return published();
        },
        changed: () => undefined,
        silent: (suspects) => silent.push(suspects),
        failed: () => undefined,
      },
    );
    clock.every(2_000, () => lane.beat());
    await lane.opened();
  });

  it('is proved when a probe came back since everything is subscribed, and not before', async () => {
    expect([way.commands, sent, lane.isProved]).toEqual([[['probe']], [1], true]);
    isHeard = false;
    way.answer = () => new Promise(() => undefined);
    void lane.opened();
    await turn();
    lane.beat();
    lane.heard(2);
    expect([sent, lane.isProved]).toEqual([[1, 2], false]); // heard, though nothing is known to be subscribed
  });

  it('sends no probe while nothing can be published', async () => {
    isOpen = false;
    await lane.opened();
    lane.beat();
    expect([sent, lane.isProved]).toEqual([[1], false]);
    isOpen = true; // then it is told of a new way out
    lane.unprove();
    lane.beat();
    expect([sent, lane.isProved]).toEqual([[1, 2], true]);
  });

  it('is given up when three probes in a row are unheard, within 7 s of its last sign of life', async () => {
    await clock.pass(2_000);
    isHeard = false;
    const lastSign = clock.now();
    while (silent.length === 0) await clock.pass(100);
    expect(clock.now() - lastSign).toBeLessThanOrEqual(7_000);
    expect(silent).toEqual([{ way: true, outlet: false }]);
    expect(lane.isProved).toBe(false);
  });

  it('is not given up for two', async () => {
    isHeard = false;
    await clock.pass(4_500);
    isHeard = true;
    await clock.pass(20_000);
    expect([silent, lane.isProved]).toEqual([[], true]);
  });

  it('is given up with the way out when nobody answers what is published', async () => {
    isHeard = false;
    published = () => new Promise(() => undefined);
    await clock.pass(7_000);
    expect(silent).toEqual([{ way: true, outlet: true }]);
  });

  it('is not given up while other messages arrive: it is behind', async () => {
    isHeard = false;
    clock.every(1_000, () => lane.sawTraffic());
    await clock.pass(20_000);
    expect(silent).toEqual([]);
  });

  it('loses the way out alone when nobody answers, but other messages arrive', async () => {
    published = () => new Promise(() => undefined);
    isHeard = false;
    clock.every(1_000, () => lane.sawTraffic());
    await clock.pass(7_000);
    expect(silent).toEqual([{ way: false, outlet: true }]);
    expect(lane.isProved).toBe(false);
  });

  it('is given up with the way out when Redis says that nobody listens: they lead to two Redis', async () => {
    isHeard = false;
    published = () => Promise.resolve(0);
    clock.every(1_000, () => lane.sawTraffic());
    await clock.pass(7_000);
    expect(silent).toEqual([{ way: true, outlet: true }]);
  });

  it("is not given up for what Redis refuses to publish, but isn't proved, either, until Redis takes it again", async () => {
    isHeard = false;
    published = () => Promise.reject(refusal('NOPERM'));
    await clock.pass(4_000);
    expect(lane.isProved).toBe(true);
    await clock.pass(3_000);
    expect(lane.isProved).toBe(false);
    await clock.pass(13_000);
    expect(silent).toEqual([]);
    isHeard = true;
    published = () => Promise.resolve(1);
    await clock.pass(2_000);
    expect(lane.isProved).toBe(true);
  });

  it('asks again what was answered too late, all together, and is proved then', async () => {
    let answers = 0;
    way.answer = () => (++answers < 3 ? Promise.reject(new Error('Command timed out')) : Promise.resolve());
    lane.subscriptions.want('all', 'events');
    way.commands.length = 0;
    await lane.opened();
    expect(way.commands).toEqual(Array.from({ length: 3 }, () => ['probe', 'all', 'events']));
    expect(lane.isProved).toBe(true);
  });
});
