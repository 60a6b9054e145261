import { EventEmitter } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { ClientNews } from '../../lib/cluster/client-news.js';
import type { ClientRecord } from '../../lib/cluster/client-record.js';
import { readInSteps } from '../../lib/cluster/reading-steps.js';
import { Replica, type Snapshot } from '../../lib/cluster/replica.js';
import { Steps } from '../../lib/steps.js';
import { SlowClock } from '../support/slow-clock.js';

const fail = (error: Error): void => {
  throw error;
};

describe('long work', () => {
  it('begins at once, goes on in later turns, a few at a time, in order', async () => {
    const clock = new SlowClock();
    const done: number[] = [];
    let isDone = false;
    const numbers = Array.from({ length: 23 }, (_, n) => n);
    void new Steps(clock, fail).each(numbers, 'x', (n) => void done.push(n)).then(() => (isDone = true));
    for (let before = 0; before < numbers.length; await clock.turn()) {
      expect(done.length - before).toBeGreaterThan(0);
      expect(done.length - before).toBeLessThanOrEqual(6);
      before = done.length;
    }
    await clock.turn();
    expect([done, isDone]).toEqual([numbers, true]);
  });

  it('shares what a turn allows with all that is done at the same time', async () => {
    const clock = new SlowClock();
    const steps = new Steps(clock, fail);
    let count = 0;
    const all = [1, 2, 3].map(() => steps.each(Array(20).keys(), 'x', () => void count++));
    for (let before = count; clock.hasMore; before = count) {
      await clock.turn();
      expect(count - before).toBeLessThanOrEqual(8);
    }
    await Promise.all(all);
    expect(count).toBe(60);
  });

  it('is done at once where it fits into a step, and tells of an item that fails without leaving out the others', () => {
    const errors: string[] = [];
    const done: number[] = [];
    const steps = new Steps(new SlowClock(), (error, place) => errors.push(`${place}: ${error.message}`));
    void steps.each([1, 2, 3], 'counting', (n) => {
      if (n === 2) throw new Error('two');
      done.push(n);
    });
    expect([done, errors]).toEqual([[1, 3], ['counting: two']]);
  });
});

describe('a long answer of Redis', () => {
  /** A socket that has so much to read as it is asked for. */
  class FullSocket extends EventEmitter {
    isPaused = false;
    pause = (): void => void (this.isPaused = true);
    resume = (): void => void (this.isPaused = false);

    /** @returns how many chunks it takes until it is paused, 100 at most */
    read(bytes: number): number {
      let count = 0;
      for (; count < 100 && !this.isPaused; count++) this.emit('data', Buffer.alloc(bytes));
      return count;
    }
  }

  it('is read in several turns, and a short one at once', async () => {
    const [clock, stream] = [new SlowClock(), new FullSocket()];
    const connection = Object.assign(new EventEmitter(), { stream });
    readInSteps(connection as never, clock);
    connection.emit('connect');
    for (let turn = 0; turn < 3; turn++) {
      expect(stream.read(65_536)).toBeLessThanOrEqual(6);
      await clock.turn();
      expect(stream.isPaused).toBe(false);
    }
    expect(stream.read(1_000)).toBe(100);
  });
});

const recordOf = (clientId: string, rooms: string[]): ClientRecord => ({
  clientId,
  user: null,
  metadata: {},
  rooms,
  lastActivity: 0,
});

/** A node with its clients, which tells of what changes. */
class BigNode {
  version = 0;
  readonly clients = new Map<string, ClientRecord>();
  /** What each client ever was. */
  readonly past = new Map<string, ClientRecord[]>();

  constructor(readonly nodeId: string) {}

  put(name: string, rooms: string[]): ClientNews {
    const record = recordOf(name, rooms);
    const before = this.clients.get(name);
    this.clients.set(name, record);
    this.past.set(name, [...(this.past.get(name) ?? []), record]);
    this.version++;
    const common = { clientId: name, userId: undefined, isGone: false };
    if (!before) return { ...common, moves: [], record };
    const left = before.rooms.filter((roomName) => !rooms.includes(roomName));
    const joined = rooms.filter((roomName) => !before.rooms.includes(roomName));
    const moves = [
      ...left.map((roomName) => ({ roomName, isIn: false })),
      ...joined.map((roomName) => ({ roomName, isIn: true })),
    ];
    return { ...common, moves };
  }

  remove(name: string): ClientNews {
    this.clients.delete(name);
    this.version++;
    return { clientId: name, userId: undefined, moves: [], isGone: true };
  }

  get snapshot(): Snapshot {
    const records = [...this.clients.values()];
    const count = records.reduce((sum, { rooms }) => sum + 1 + rooms.length, 0);
    return { digest: { version: this.version, count }, records, isComplete: true };
  }
}

describe('a big node', () => {
  const scene = () => {
    const clock = new SlowClock();
    const view = new Map<string, ClientRecord>();
    const replica = new Replica(
      { put: (record) => void view.set(record.clientId, record), remove: (clientId) => void view.delete(clientId) },
      new Steps(clock, fail),
    );
    const node = new BigNode('n');
    for (let n = 0; n < 40; n++) node.put(`c${n}`, ['red']);
    const rest = async (): Promise<void> => {
      while (clock.hasMore) await clock.turn();
    };
    return { clock, view, replica, node, rest };
  };
  const plain = (record: ClientRecord): ClientRecord => ({ ...record, rooms: record.rooms.toSorted() });
  const sorted = (records: Iterable<ClientRecord>): ClientRecord[] =>
    [...records].map(plain).toSorted((one, other) => (one.clientId < other.clientId ? -1 : 1));

  it('is copied in steps, with what it tells meanwhile of clients that are here already, or not yet', async () => {
    const { clock, view, replica, node, rest } = scene();
    replica.expect('n');
    let isCopied = false;
    void replica.replace('n', node.snapshot).then(() => (isCopied = true));
    await clock.turn();
    expect(view.size).toBeLessThan(20);
    for (const news of [
      node.put('c0', ['blue']),
      node.put('c39', ['red', 'blue']),
      node.remove('c1'),
      node.remove('c38'),
    ])
      replica.apply('n', node.version - 3 + ['c0', 'c39', 'c1', 'c38'].indexOf(news.clientId), [news]);
    expect([view.get('c0')?.rooms, view.get('c39')?.rooms, view.has('c1')]).toEqual([['blue'], ['red', 'blue'], false]);
    replica.compare('n', node.snapshot.digest);
    expect([replica.isIncomplete('n'), isCopied]).toEqual([false, false]);
    await rest();
    replica.compare('n', node.snapshot.digest);
    expect([replica.isIncomplete('n'), isCopied]).toEqual([false, true]);
    expect(sorted(view.values())).toEqual(sorted(node.clients.values()));
  });

  it('is gone, when it goes while it is copied', async () => {
    const { clock, view, replica, node, rest } = scene();
    void replica.replace('n', node.snapshot);
    await clock.turn();
    void replica.drop('n');
    void replica.drop('n');
    expect(replica.nodeIds).toEqual([]);
    await rest();
    expect(view.size).toBe(0);
  });

  it.each(['n', 'another id'])('is there, when it comes back as %s while it is dropped', async (nodeId) => {
    const { clock, view, replica, node, rest } = scene();
    void replica.replace('n', node.snapshot);
    await rest();
    void replica.drop('n');
    await clock.turn();
    expect(view.size).toBeGreaterThan(20);
    void replica.replace(nodeId, node.snapshot);
    for (const name of ['c0', 'c39']) replica.apply(nodeId, node.version + 1, [node.put(name, ['blue'])]);
    await rest();
    expect(sorted(view.values())).toEqual(sorted(node.clients.values()));
  });

  it('is as it says, and each client is what it was or will be, whatever happens between the steps', async () => {
    const act = fc.tuple(
      fc.constantFrom('put', 'put', 'put', 'remove', 'read', 'read', 'drop', 'turn', 'turn', 'turn'),
      fc.nat(45),
      fc.subarray(['red', 'blue', 'green']),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 60 }), async (acts) => {
        const { clock, view, replica, node, rest } = scene();
        for (const [what, pick, rooms] of acts) {
          const name = `c${pick}`;
          if (what === 'put' || (what === 'remove' && node.clients.has(name))) {
            const news = what === 'put' ? node.put(name, rooms) : node.remove(name);
            replica.apply('n', node.version, [news]);
          } else if (what === 'read') {
            replica.expect('n');
            void replica.replace('n', node.snapshot);
          } else if (what === 'drop') void replica.drop('n');
          else await clock.turn();
          for (const record of view.values())
            expect(node.past.get(record.clientId)?.map(plain)).toContainEqual(plain(record));
        }
        await rest();
        replica.compare('n', node.snapshot.digest);
        if (replica.isIncomplete('n')) void replica.replace('n', node.snapshot);
        await rest();
        replica.compare('n', node.snapshot.digest);
        expect(replica.isIncomplete('n')).toBe(false);
        expect(sorted(view.values())).toEqual(sorted(node.clients.values()));
      }),
      { numRuns: 100 },
    );
  });
});
