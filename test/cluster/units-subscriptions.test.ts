import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { systemClock } from '../../lib/clock.js';
import { Subscriptions } from '../../lib/cluster/subscriptions.js';
import type { TransportState } from '../../lib/cluster/transport.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Pending {
  carryOut(): void;
  fail(): void;
}

/** A Redis that answers when it is told to. */
class FakeTransport {
  state: TransportState = 'up';
  readonly subscribed = new Set<string>();
  readonly commands: string[][] = [];
  pending: Pending[] = [];
  answersAtOnce = false;

  constructor(readonly sharesCommands: (channel: string) => boolean = () => true) {}

  subscribe(channels: readonly string[]): Promise<void> {
    return this.#command('subscribe', channels, (channel) => this.subscribed.add(channel));
  }

  unsubscribe(channels: readonly string[]): Promise<void> {
    return this.#command('unsubscribe', channels, (channel) => this.subscribed.delete(channel));
  }

  answer(): void {
    this.pending.shift()?.carryOut();
  }

  /** Breaks: what is under way fails, and the server forgets. */
  break(): void {
    this.state = 'down';
    this.subscribed.clear();
    for (const { fail } of this.pending.splice(0)) fail();
  }

  #command(name: string, channels: readonly string[], act: (channel: string) => void): Promise<void> {
    if (this.state !== 'up') return Promise.reject(new Error('not ready'));
    this.commands.push([name, ...channels]);
    return new Promise((resolve, reject) => {
      const carryOut = (): void => {
        channels.forEach(act);
        resolve();
      };
      if (this.answersAtOnce) carryOut();
      else this.pending.push({ carryOut, fail: () => reject(new Error('broke')) });
    });
  }
}

const subscriptionsOn = (transport: FakeTransport): Subscriptions =>
  new Subscriptions(transport, { clock: systemClock, random: Math.random, failed: () => undefined });

describe('subscriptions', () => {
  it('are what was asked for, once quiet, and add() resolves only when they are, in any order of events', async () => {
    const channel = fc.constantFrom('a', 'b', 'c', 'd');
    const act = fc.oneof(
      { weight: 4, arbitrary: fc.tuple(fc.constant('add'), channel) },
      { weight: 3, arbitrary: fc.tuple(fc.constant('remove'), channel) },
      { weight: 4, arbitrary: fc.tuple(fc.constant('answer'), channel) },
      { weight: 3, arbitrary: fc.tuple(fc.constant('turn'), channel) },
      { weight: 3, arbitrary: fc.tuple(fc.constant('microtask'), channel) },
      { weight: 1, arbitrary: fc.tuple(fc.constant('break'), channel) },
      { weight: 1, arbitrary: fc.tuple(fc.constant('back'), channel) },
      { weight: 2, arbitrary: fc.tuple(fc.constant('end'), fc.constantFrom('c', 'd')) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 40, size: 'max' }), async (acts) => {
        const transport = new FakeTransport((name) => name < 'c');
        const subscriptions = subscriptionsOn(transport);
        const wanted = new Set<string>();
        let breaks = 0;
        let removals = 0;
        let isUp = true;
        const restore = async (): Promise<boolean> => {
          transport.state = 'up';
          const isComplete = await subscriptions.restore();
          if (isComplete && transport.state === 'up') isUp = true;
          return isComplete;
        };
        const restores: Promise<boolean>[] = [];
        const tooEarly: string[] = [];
        for (const [what, name] of acts) {
          if (what === 'add') {
            wanted.add(name);
            const before = [breaks, removals];
            const wasUp = isUp;
            void subscriptions.add(name).then(() => {
              const isUndisturbed = wasUp && breaks === before[0] && removals === before[1];
              if (isUndisturbed && !transport.subscribed.has(name)) tooEarly.push(name);
            });
          } else if (what === 'remove') {
            removals++;
            wanted.delete(name);
            subscriptions.remove(name);
          } else if (what === 'answer') transport.answer();
          else if (what === 'turn') await turn();
          else if (what === 'microtask') await Promise.resolve();
          else if (what === 'end') {
            removals++;
            transport.subscribed.delete(name);
            await turn(); // the slots are read first
            subscriptions.renew();
          } else if (what === 'break' && transport.state === 'up') {
            transport.break();
            isUp = false;
            breaks++;
          } else if (what === 'back' && transport.state !== 'up') {
            restores.push(restore());
          }
        }
        if (transport.state !== 'up') {
          restores.push(restore());
        }
        transport.answersAtOnce = true;
        do {
          transport.answer();
          await turn();
        } while (transport.pending.length > 0);
        expect(transport.subscribed).toEqual(wanted);
        expect(tooEarly).toEqual([]);
        if (restores.length > 0) expect(await restores.at(-1)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
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
