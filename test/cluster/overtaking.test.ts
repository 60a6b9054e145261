import { beforeEach, describe, expect, it } from '@jest/globals';
import type { ClientNews } from '../../lib/cluster/client-news.js';
import type { FieldWrites } from '../../lib/cluster/client-fields.js';
import { FieldWriter } from '../../lib/cluster/field-writer.js';
import { MemoryRegistryStore } from '../../lib/cluster/memory-registry-store.js';
import { Neighbours } from '../../lib/cluster/neighbours.js';
import { OwnEntry } from '../../lib/cluster/own-entry.js';
import { Steps } from '../../lib/steps.js';
import { ManualClock } from '../support/manual-clock.js';

describe('a sign of life that overtakes the changes before it', () => {
  let clock: ManualClock;
  let store: MemoryRegistryStore;
  let neighbours: Neighbours;
  let view: Map<string, string[]>;
  let reads: number;
  const record = { clientId: 'n.a', user: null, metadata: {}, rooms: ['red'], lastActivity: 0 };
  const join = (roomName: string): ClientNews[] => [
    { clientId: 'n.a', userId: undefined, moves: [{ roomName, isIn: true }], isGone: false },
  ];
  const own = { nodeId: 'own', keepListed: () => Promise.resolve() } as unknown as OwnEntry;
  const look = (): Promise<void> => neighbours.look(own, { readsAll: false, mayBury: false });

  beforeEach(async () => {
    clock = new ManualClock();
    store = new MemoryRegistryStore(clock);
    view = new Map();
    reads = 0;
    const read = store.read.bind(store);
    store.read = (nodeId) => {
      reads++;
      return read(nodeId);
    };
    neighbours = new Neighbours({
      store,
      view: { put: ({ clientId, rooms }) => void view.set(clientId, rooms), remove: (id) => void view.delete(id) },
      steps: new Steps(clock, (error) => {
        throw error;
      }),
      isReplicated: true,
      clock,
      bus: { silentMs: () => Infinity, forgetNode: () => undefined },
      reaped: () => undefined,
    });
    const writer = new FieldWriter('n');
    const fields: FieldWrites = new Map();
    writer.whole(fields, record);
    await store.register('n', { version: 1, count: 2 }, fields);
    await look();
    expect([reads, view.get('n.a')]).toEqual([1, ['red']]);
    writer.whole(fields, { ...record, rooms: ['red', 'blue'] });
    await store.register('n', { version: 2, count: 3 }, fields);
  });

  it('costs nothing: nobody reads what is on its way', async () => {
    neighbours.heardAlive('n', { version: 2, count: 3 });
    await look(); // at once
    neighbours.heardChanges('n', 2, join('blue'));
    await clock.pass(2_000);
    await look();
    neighbours.heardAlive('n', { version: 2, count: 3 });
    await look();
    expect([reads, view.get('n.a')]).toEqual([1, ['red', 'blue']]);
  });

  it('is believed when the changes do not come: the node is read, with the next beat at the latest', async () => {
    neighbours.heardAlive('n', { version: 2, count: 3 });
    await clock.pass(100);
    await look();
    expect(reads).toBe(1);
    await clock.pass(1_900);
    neighbours.heardAlive('n', { version: 2, count: 3 });
    await clock.pass(100);
    await look();
    expect([reads, view.get('n.a')]).toEqual([2, ['red', 'blue']]);
  });
});
