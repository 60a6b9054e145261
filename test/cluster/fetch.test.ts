import { expect, it } from '@jest/globals';
import type { FieldWrites } from '../../lib/cluster/client-fields.js';
import { FieldWriter } from '../../lib/cluster/field-writer.js';
import { MemoryRegistryStore } from '../../lib/cluster/memory-registry-store.js';
import { Neighbours } from '../../lib/cluster/neighbours.js';
import type { OwnEntry } from '../../lib/cluster/own-entry.js';
import { Steps } from '../../lib/steps.js';
import { ManualClock } from '../support/manual-clock.js';

it('a node that Redis lost from its list before anybody looked is fetched all the same, if it was heard', async () => {
  const clock = new ManualClock();
  const store = new MemoryRegistryStore(clock);
  const leases = store.leases.bind(store);
  // Redis has lost the list: it names nobody by itself.
  store.leases = async (knownIds) => {
    const known = new Set(knownIds);
    return new Map([...(await leases(known))].filter(([nodeId]) => known.has(nodeId)));
  };
  const neighbours = new Neighbours({
    store,
    view: { put: () => undefined, remove: () => undefined },
    steps: new Steps(clock, (error) => {
      throw error;
    }),
    isReplicated: true,
    clock,
    bus: { silentMs: () => Infinity, forgetNode: () => undefined },
    reaped: () => undefined,
  });
  await neighbours.look({ nodeId: 'own', keepListed: () => Promise.resolve() } as unknown as OwnEntry, {
    readsAll: true,
    mayBury: true,
  });
  const record = { clientId: 'n.a', user: null, metadata: {}, rooms: [], lastActivity: 0 };
  const fields: FieldWrites = new Map();
  new FieldWriter('n').whole(fields, record);
  await store.register('n', { version: 1, count: 1 }, fields);
  neighbours.heardChanges('n', 1, [
    { clientId: 'n.a', userId: undefined, moves: [], record, isGone: false, came: 'connected' },
  ]);
  const { records, missing } = await neighbours.fetch('own');
  expect([records.map(({ clientId }) => clientId), missing]).toEqual([['n.a'], []]);
});
