import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { type Clock, systemClock } from '../../lib/clock.js';
import { Subscriptions } from '../../lib/cluster/subscriptions.js';
import type { TransportState } from '../../lib/cluster/transport.js';
import { ManualClock } from '../support/manual-clock.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Pending {
  carryOut(): void;
  refuse(): void;
  fail(): void;
  timeOut(): void;
  isTimedOut: boolean;
  /** What the channels become when it is carried out. */
  effect(on: Set<string>): void;
}

/** A Redis that carries out commands in their order when it is told to, also after they timed out. */
class FakeTransport {
  state: TransportState = 'up';
  readonly subscribed = new Set<string>();
  readonly commands: string[][] = [];
  pending: Pending[] = [];
  answersAtOnce = false;

  constructor(readonly sharesCommands: (channel: string) => boolean = () => true) {}

  subscribe(channels: readonly string[]): Promise<void> {
    return this.#command('subscribe', channels, (on, channel) => void on.add(channel));
  }

  unsubscribe(channels: readonly string[]): Promise<void> {
    return this.#command('unsubscribe', channels, (on, channel) => void on.delete(channel));
  }

  answer(): void {
    this.pending.shift()?.carryOut();
  }

  refuse(): void {
    this.pending.shift()?.refuse();
  }

  /** The next command takes too long. It stays under way. */
  timeOut(): void {
    this.pending.find(({ isTimedOut }) => !isTimedOut)?.timeOut();
  }

  /** Breaks: what is under way fails, and the server forgets. */
  break(): void {
    this.state = 'down';
    this.subscribed.clear();
    for (const { fail } of this.pending.splice(0)) fail();
  }

  /** True if it is subscribed, and stays so when everything under way is carried out. */
  hasForGood(channel: string): boolean {
    const later = new Set(this.subscribed);
    for (const { effect } of this.pending) effect(later);
    return this.subscribed.has(channel) && later.has(channel);
  }

  #command(name: string, channels: readonly string[], act: (on: Set<string>, channel: string) => void): Promise<void> {
    if (this.state !== 'up') return Promise.reject(new Error('not ready'));
    this.commands.push([name, ...channels]);
    return new Promise((resolve, reject) => {
      const effect = (on: Set<string>): void => channels.forEach((channel) => act(on, channel));
      const carryOut = (): void => {
        effect(this.subscribed);
        resolve();
      };
      if (this.answersAtOnce && this.pending.length === 0) return carryOut();
      const pending: Pending = {
        carryOut,
        effect,
        refuse: () => reject(Object.assign(new Error('NOPERM'), { name: 'ReplyError' })),
        fail: () => reject(new Error('broke')),
        timeOut: () => {
          pending.isTimedOut = true;
          reject(new Error('Command timed out'));
        },
        isTimedOut: false,
      };
      this.pending.push(pending);
    });
  }
}

const subscriptionsOn = (transport: FakeTransport, clock: Clock = systemClock): Subscriptions =>
  new Subscriptions(transport, { clock, random: () => 0.5, failed: () => undefined });

describe('subscriptions', () => {
  it('are what was asked for, once quiet, and add() resolves only when they are for good, in any order of events', async () => {
    const channel = fc.constantFrom('a', 'b', 'c', 'd');
    const act = fc.oneof(
      { weight: 4, arbitrary: fc.tuple(fc.constant('add'), channel) },
      { weight: 3, arbitrary: fc.tuple(fc.constant('remove'), channel) },
      { weight: 4, arbitrary: fc.tuple(fc.constant('answer'), channel) },
      { weight: 2, arbitrary: fc.tuple(fc.constant('time out'), channel) },
      { weight: 1, arbitrary: fc.tuple(fc.constant('refuse'), channel) },
      { weight: 3, arbitrary: fc.tuple(fc.constant('turn'), channel) },
      { weight: 3, arbitrary: fc.tuple(fc.constant('microtask'), channel) },
      { weight: 1, arbitrary: fc.tuple(fc.constant('pass'), channel) },
      { weight: 1, arbitrary: fc.tuple(fc.constant('break'), channel) },
      { weight: 1, arbitrary: fc.tuple(fc.constant('back'), channel) },
      { weight: 2, arbitrary: fc.tuple(fc.constant('end'), fc.constantFrom('c', 'd')) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 40, size: 'max' }), async (acts) => {
        const transport = new FakeTransport((name) => name < 'c');
        const clock = new ManualClock();
        const subscriptions = subscriptionsOn(transport, clock);
        const wanted = new Set<string>();
        /** How often something else than the answer to a command changed a channel. */
        const disturbances = new Map<string, number>();
        const disturb = (...names: string[]): void =>
          names.forEach((name) => disturbances.set(name, (disturbances.get(name) ?? 0) + 1));
        let isUp = true;
        let restored: Promise<boolean> | undefined;
        const tooEarly: string[] = [];
        const restore = async (): Promise<boolean> => {
          transport.state = 'up';
          const isWhole = await subscriptions.restore();
          if (isWhole && transport.state === 'up') isUp = true;
          return isWhole;
        };
        for (const [what, name] of acts) {
          if (what === 'add') {
            wanted.add(name);
            const before = disturbances.get(name);
            const wasUp = isUp;
            const check = (): void => {
              const isUndisturbed = wasUp && disturbances.get(name) === before;
              if (isUndisturbed && !transport.hasForGood(name)) tooEarly.push(name);
            };
            void subscriptions.add(name).then(check, () => undefined);
          } else if (what === 'remove') {
            disturb(name);
            wanted.delete(name);
            subscriptions.remove(name);
          } else if (what === 'answer') transport.answer();
          else if (what === 'time out') transport.timeOut();
          else if (what === 'refuse') transport.refuse();
          else if (what === 'turn') await turn();
          else if (what === 'microtask') await Promise.resolve();
          else if (what === 'pass') await clock.pass(200);
          else if (what === 'end') {
            disturb(name);
            transport.subscribed.delete(name);
            await turn(); // the slots are read first
            subscriptions.renew();
          } else if (what === 'break' && transport.state === 'up') {
            disturb('a', 'b', 'c', 'd');
            transport.break();
            isUp = false;
          } else if (what === 'back' && transport.state !== 'up') restored = restore();
        }
        if (transport.state !== 'up') restored = restore();
        do {
          transport.answer();
          await clock.pass(5_000); // longer than until a refused one is tried again
        } while (transport.pending.length > 0);
        expect(transport.subscribed).toEqual(wanted);
        expect(tooEarly).toEqual([]);
        if (restored) expect(await restored).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it('are asked for again when a late UNSUBSCRIBE would end them, before add() resolves', async () => {
    const transport = new FakeTransport();
    const subscriptions = subscriptionsOn(transport);
    const first = subscriptions.add('red');
    await turn();
    transport.answer();
    await first;
    subscriptions.remove('red');
    await turn();
    const again = subscriptions.add('red');
    transport.timeOut();
    await turn();
    expect(transport.commands.slice(1)).toEqual([
      ['unsubscribe', 'red'],
      ['subscribe', 'red'],
    ]);
    transport.answer();
    expect(await Promise.race([again.then(() => 'resolved'), turn().then(() => 'waits')])).toBe('waits');
    transport.answer();
    await again;
    expect(transport.subscribed).toEqual(new Set(['red']));
  });

  it('are given up when a late SUBSCRIBE comes after the last one left', async () => {
    const transport = new FakeTransport();
    const subscriptions = subscriptionsOn(transport);
    void subscriptions.add('red');
    await turn();
    subscriptions.remove('red');
    transport.timeOut();
    await turn();
    transport.answer();
    transport.answer();
    await turn();
    expect(transport.subscribed).toEqual(new Set());
  });

  it('are complete when those that nobody waits for are held or refused', async () => {
    const transport = new FakeTransport();
    const subscriptions = subscriptionsOn(transport, new ManualClock());
    transport.answersAtOnce = true;
    await subscriptions.restore();
    expect(subscriptions.isComplete).toBe(true);
    transport.answersAtOnce = false;
    for (const become of ['answer', 'refuse'] as const) {
      subscriptions.owe(become);
      await turn();
      transport.timeOut();
      await turn();
      transport.answer();
      await turn();
      expect(subscriptions.isComplete).toBe(false);
      transport[become]();
      await turn();
      expect(subscriptions.isComplete).toBe(true);
    }
  });

  it('hold what is asked for in the very moment the last work ends', async () => {
    const transport = new FakeTransport();
    transport.answersAtOnce = true;
    const subscriptions = subscriptionsOn(transport);
    await subscriptions.add('a');
    await subscriptions.add('b'); // its caller runs on before the work on "a" has ended
    expect(transport.subscribed).toEqual(new Set(['a', 'b']));
  });

  it('are restored, and say so, while more and more is asked for', async () => {
    const transport = new FakeTransport();
    transport.answersAtOnce = true;
    const subscriptions = subscriptionsOn(transport);
    subscriptions.want('all');
    const restored = subscriptions.restore();
    const joining = (async () => {
      for (let room = 0; room < 20; room++) await subscriptions.add(`room ${room}`);
    })();
    expect(await restored).toBe(true);
    await joining;
    expect(transport.subscribed.size).toBe(21);
  });

  it('are not restored when the transport breaks meanwhile', async () => {
    const transport = new FakeTransport();
    const subscriptions = subscriptionsOn(transport);
    subscriptions.want('all');
    const restored = subscriptions.restore();
    await turn();
    transport.break();
    expect(await restored).toBe(false);
    transport.state = 'up';
    transport.answersAtOnce = true;
    expect(await subscriptions.restore()).toBe(true);
    expect(transport.subscribed).toEqual(new Set(['all']));
  });

  it('give up one that was to be given up when the command failed, though the transport held', async () => {
    const transport = new FakeTransport();
    const subscriptions = subscriptionsOn(transport);
    const added = subscriptions.add('a');
    await turn();
    transport.answer();
    await added;
    subscriptions.remove('a');
    await turn();
    transport.pending.shift()?.fail();
    await turn();
    transport.answersAtOnce = true;
    expect(await subscriptions.restore()).toBe(true);
    expect(transport.subscribed).toEqual(new Set());
  });

  it('take one command for the changes of a turn, none for a join and a leave of it, and never repeat the others', async () => {
    const transport = new FakeTransport();
    transport.answersAtOnce = true;
    const subscriptions = subscriptionsOn(transport);
    const rooms = Array.from({ length: 500 }, (_, index) => `room ${index}`);
    await Promise.all(rooms.map((room) => subscriptions.add(room)));
    await turn();
    expect(transport.commands).toEqual([['subscribe', ...rooms]]);
    void subscriptions.add('new');
    subscriptions.remove('new');
    subscriptions.remove('room 0');
    await subscriptions.add('other');
    await turn();
    expect(transport.commands.slice(1)).toEqual([
      ['subscribe', 'other'],
      ['unsubscribe', 'room 0'],
    ]);
  });

  it('cost a change, not a look at all of them', async () => {
    const transport = new FakeTransport();
    transport.answersAtOnce = true;
    const subscriptions = subscriptionsOn(transport);
    const timeOf = async (prefix: string): Promise<number> => {
      const start = performance.now();
      for (let index = 0; index < 300; index++) await subscriptions.add(`${prefix}${index}`);
      return performance.now() - start;
    };
    // The fastest of five: what else the machine does isn't meant.
    const fastest = async (prefix: string): Promise<number> => {
      const times = [];
      for (let n = 0; n < 5; n++) times.push(await timeOf(`${prefix} ${n} `));
      return Math.min(...times);
    };
    await timeOf('warm-up');
    const few = await fastest('few');
    await Promise.all(Array.from({ length: 100_000 }, (_, index) => subscriptions.add(`room ${index}`)));
    expect(await fastest('many')).toBeLessThan(10 * few + 200); // a look at all would take seconds
  });

  it('are restored in commands of a thousand', async () => {
    const transport = new FakeTransport();
    transport.answersAtOnce = true;
    const subscriptions = subscriptionsOn(transport);
    subscriptions.want(...Array.from({ length: 2_500 }, (_, index) => `room ${index}`));
    expect(await subscriptions.restore()).toBe(true);
    expect(transport.commands.map(({ length }) => length - 1)).toEqual([1_000, 1_000, 500]);
  });
});
