import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { ClientRecord } from '../../lib/cluster/client-record.js';
import { systemIds } from '../../lib/cluster/ids.js';
import { MemoryRegistryStore } from '../../lib/cluster/memory-registry-store.js';
import { Neighbours } from '../../lib/cluster/neighbours.js';
import { NodeIdentity } from '../../lib/cluster/node-identity.js';
import { OwnClients } from '../../lib/cluster/own-clients.js';
import { OwnEntry } from '../../lib/cluster/own-entry.js';
import { BEAT_MS, Registry } from '../../lib/cluster/registry.js';
import { Steps } from '../../lib/steps.js';
import { ManualClock } from '../support/manual-clock.js';

describe('a change that Redis does not take', () => {
  let clock: ManualClock;
  let store: MemoryRegistryStore;
  let registry: Registry;
  let own: Map<string, ClientRecord>;
  let errors: string[];
  /** What becomes of the next writes. */
  let refuses: number;
  let writes: number;

  beforeEach(async () => {
    clock = new ManualClock();
    store = new MemoryRegistryStore(clock);
    const write = store.write.bind(store);
    [own, errors, refuses, writes] = [new Map(), [], 0, 0];
    store.write = (...args) => {
      writes++;
      return refuses-- > 0 ? Promise.reject(new Error('OOM')) : write(...args);
    };
    const failed = (error: Error): void => void errors.push(error.message);
    const source = { ownRecords: () => own.values(), ownRecord: (clientId: string) => own.get(clientId) };
    const clients = new OwnClients(source, failed);
    const bus = {
      renameTo: () => Promise.resolve(),
      silentMs: () => Infinity,
      forgetNode: () => undefined,
    };
    const nodeIds = ['n', 'new'];
    const node = new NodeIdentity({ ...systemIds, nodeId: () => nodeIds.shift() as string });
    registry = new Registry({
      store,
      clock,
      clients,
      own: new OwnEntry({
        store,
        node,
        clients,
        bus,
        settle: () => undefined,
        corrected: () => undefined,
        returned: () => undefined,
      }),
      others: new Neighbours({
        store,
        clock,
        bus,
        view: { put: () => undefined, remove: () => undefined },
        steps: new Steps(clock, failed),
        isReplicated: true,
        reaped: () => undefined,
      }),
      alive: () => undefined,
      failed,
    });
    await registry.enter();
  });
  afterEach(() => registry.stop());

  const record = (clientId: string, rooms: string[]): ClientRecord => {
    const made = { clientId, user: null, metadata: {}, rooms, lastActivity: 0 };
    own.set(clientId, made);
    return made;
  };
  const connect = (clientId: string, rooms: string[] = []): void => {
    const common = { clientId, userId: undefined, moves: [], isGone: false };
    registry.changed([{ ...common, record: record(clientId, rooms) }]);
  };
  const move = (clientId: string, roomName: string, isIn: boolean): void => {
    const rooms = (own.get(clientId)?.rooms ?? []).filter((name) => name !== roomName);
    record(clientId, isIn ? [...rooms, roomName] : rooms);
    registry.changed([{ clientId, userId: undefined, moves: [{ roomName, isIn }], isGone: false }]);
  };
  const leave = (clientId: string): void => {
    const moves = (own.get(clientId)?.rooms ?? []).map((roomName) => ({ roomName, isIn: false }));
    own.delete(clientId);
    registry.changed([{ clientId, userId: undefined, moves, isGone: true }]);
  };
  const isTrue = async (): Promise<void> => {
    const { records, isComplete } = await store.read('n');
    const sorted = (all: Iterable<ClientRecord>) =>
      [...all].toSorted((one, other) => (one.clientId < other.clientId ? -1 : 1));
    expect({ records: sorted(records), isComplete }).toEqual({ records: sorted(own.values()), isComplete: true });
  };

  it.each<[string, () => void]>([
    ['that a client came', () => connect('b', ['red', 'blue'])],
    ['that a client joined', () => move('a', 'blue', true)],
    ['that a client left a room', () => move('a', 'red', false)],
    ['that a client is gone', () => leave('a')],
  ])('is written again within 100 ms, without a beat: %s', async (_, change) => {
    connect('a', ['red']);
    refuses = 1;
    change();
    await clock.pass(100);
    await isTrue();
    expect([errors, writes]).toEqual([['OOM'], 3]);
    await registry.beat();
    expect(writes).toBe(3);
  });

  it('is written as it is by then, whatever came after it and was taken or not', async () => {
    connect('a', ['red']);
    refuses = 1;
    move('a', 'blue', true);
    move('a', 'green', true);
    move('a', 'blue', false);
    refuses = 1;
    connect('b', ['red']);
    leave('b');
    await clock.pass(100);
    await isTrue();
  });

  it('is tried less and less often, but with each beat, and said once', async () => {
    connect('a');
    refuses = 1_000;
    move('a', 'blue', true);
    await clock.pass(9_000);
    expect(writes).toBeLessThanOrEqual(2 + 9);
    expect(errors).toEqual(['OOM']);
    refuses = 0;
    await clock.pass(BEAT_MS);
    await isTrue();
  });

  it('makes others read the entry again, when a later change was taken meanwhile', async () => {
    connect('a');
    refuses = 1;
    move('a', 'blue', true);
    move('a', 'red', true);
    await clock.pass(0);
    const { digest: patchy } = await store.read('n');
    await clock.pass(100);
    const { digest } = await store.read('n');
    expect(digest.version).toBeGreaterThan(patchy.version);
    await isTrue();
  });

  it('is not tried any more after the stop', async () => {
    refuses = 1_000;
    connect('a');
    await clock.pass(0);
    registry.stop();
    await clock.pass(10_000);
    expect(writes).toBe(1);
  });
});
