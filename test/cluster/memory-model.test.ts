import { expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { Bus } from '../../lib/cluster/bus.js';
import type { ClientRecord } from '../../lib/cluster/client-record.js';
import { Cluster } from '../../lib/cluster/cluster.js';
import { systemIds } from '../../lib/cluster/ids.js';
import { NodeIdentity } from '../../lib/cluster/node-identity.js';
import { MemoryNetwork } from '../../lib/cluster/memory-network.js';
import type { Clock } from '../../lib/clock.js';
import { WebSocketRedisSubscriberEvent as Event } from '../../lib/protocol/events.js';
import { ManualClock } from '../support/manual-clock.js';
import { clientsOf } from '../support/model-cluster.js';

const ROOMS = ['red', 'green', 'blue'] as const;
/** A lease of 6 s, two beats and what a node waits before it declares another dead. */
const REST_MS = 20_000;

/** The clock of one process: it stops with it. */
class ProcessClock implements Clock {
  isStopped = false;

  constructor(private readonly clock: Clock) {}

  now(): number {
    return this.clock.now();
  }

  wall(): number {
    return this.clock.wall();
  }

  soon(task: () => void): void {
    this.clock.soon(this.#whileAlive(task));
  }

  after(ms: number, task: (now: number) => void): () => void {
    return this.clock.after(ms, this.#whileAlive(task));
  }

  every(ms: number, task: () => void): () => void {
    return this.clock.every(ms, this.#whileAlive(task));
  }

  #whileAlive<A extends unknown[]>(task: (...args: A) => void): (...args: A) => void {
    return (...args) => {
      if (!this.isStopped) task(...args);
    };
  }
}

/** A real `Cluster` on the real bus: only the network, the registry and the clock are in memory. */
class MemoryNode {
  readonly own = new Map<string, ClientRecord>();
  readonly view = new Map<string, ClientRecord>();
  isGone = false;
  /** So many of the next messages don't arrive here. */
  loses = 0;
  readonly cluster: Cluster;
  readonly #clock: ProcessClock;
  readonly #close: () => Promise<void>;

  constructor(network: MemoryNetwork, time: Clock, number: number) {
    const clock = (this.#clock = new ProcessClock(time));
    const transport = network.join();
    const connect = transport.connect.bind(transport);
    transport.connect = (listener) =>
      connect({
        ...listener,
        received: (...message) => {
          if (this.loses > 0) this.loses -= 1;
          else listener.received(...message);
        },
      });
    this.#close = () => transport.close();
    const node = new NodeIdentity(systemIds);
    const bus = new Bus(transport, { prefix: 'model', nodeId: node.id, clock, ids: systemIds });
    this.cluster = new Cluster({ store: network.store, clock, ids: systemIds, node, bus }, true, () => undefined);
    this.#newClientId = () => `c${number}-${(this.#lastClient += 1)}`;
  }

  readonly #newClientId: () => string;
  #lastClient = 0;

  start(): Promise<void> {
    return this.cluster.start(clientsOf(this), [Event.ClientConnected, Event.ClientDisconnected]);
  }

  connect(): void {
    const clientId = this.#newClientId();
    const record: ClientRecord = { clientId, user: null, metadata: {}, rooms: [], lastActivity: 0 };
    this.own.set(clientId, record);
    this.cluster.changed({ clientId, userId: undefined, describe: () => structuredClone(record), came: 'connected' });
  }

  move(pick: number, isIn: boolean): void {
    const record = this.#pick(pick);
    const roomName = ROOMS[pick % ROOMS.length] as string;
    if (!record || record.rooms.includes(roomName) === isIn) return;
    record.rooms = isIn ? [...record.rooms, roomName] : record.rooms.filter((name) => name !== roomName);
    this.#changed(record, { moves: [{ roomName, isIn }] });
  }

  update(pick: number): void {
    const record = this.#pick(pick);
    if (!record) return;
    record.metadata = { mood: pick };
    this.#changed(record, { keys: ['mood'] });
  }

  disconnect(pick: number): void {
    const record = this.#pick(pick);
    if (!record) return;
    this.own.delete(record.clientId);
    const moves = record.rooms.map((roomName) => ({ roomName, isIn: false }));
    this.cluster.changed({ clientId: record.clientId, userId: undefined, describe: undefined, moves });
  }

  /** As by SIGKILL. */
  async kill(): Promise<void> {
    this.isGone = this.#clock.isStopped = true;
    await this.#close();
  }

  /** As by SIGTERM. */
  leave(): void {
    this.isGone = true;
    void this.cluster.leave().then(() => this.cluster.stop());
  }

  #pick(pick: number): ClientRecord | undefined {
    return [...this.own.values()][pick % Math.max(1, this.own.size)];
  }

  #changed(record: ClientRecord, what: object): void {
    const { clientId } = record;
    this.cluster.changed({ clientId, userId: undefined, describe: () => structuredClone(record), ...what });
  }
}

const ACTS: Record<string, [weight: number, act: (node: MemoryNode, pick: number) => unknown]> = {
  connect: [8, (node) => node.connect()],
  join: [6, (node, pick) => node.move(pick, true)],
  leaveRoom: [3, (node, pick) => node.move(pick, false)],
  update: [3, (node, pick) => node.update(pick)],
  disconnect: [3, (node, pick) => node.disconnect(pick)],
  lose: [3, (node, pick) => (node.loses += pick % 4)],
  kill: [1, (node) => node.kill()],
  leave: [1, (node) => node.leave()],
};

const names = fc.oneof(...Object.entries(ACTS).map(([name, [weight]]) => ({ weight, arbitrary: fc.constant(name) })));
const happenings = fc.array(fc.tuple(names, fc.nat(4), fc.nat(30)), { maxLength: 50, size: 'max' });

const byId = (records: Iterable<ClientRecord>): ClientRecord[] =>
  [...records].toSorted((one, other) => (one.clientId < other.clientId ? -1 : 1));

it('agrees on every node about who is where, on the real bus in memory, whatever was lost or killed', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 2, max: 4 }), happenings, async (count, acts) => {
      const clock = new ManualClock();
      const network = new MemoryNetwork(clock);
      const nodes = Array.from({ length: count }, (_, number) => new MemoryNode(network, clock, number));
      const started = Promise.all(nodes.map((node) => node.start()));
      await clock.pass(3_000);
      await started;
      for (const [name, at, pick] of acts) {
        const running = nodes.filter(({ isGone }) => !isGone);
        const node = running[at % Math.max(1, running.length)];
        if (node) await (ACTS[name] as [number, (node: MemoryNode, pick: number) => unknown])[1](node, pick);
        await clock.pass(pick * 40);
      }
      const running = nodes.filter(({ isGone }) => !isGone);
      for (const node of running) node.loses = 0;
      await clock.pass(REST_MS);
      for (const node of running) {
        const others = running.filter((other) => other !== node);
        expect(byId(node.view.values())).toEqual(byId(others.flatMap(({ own }) => [...own.values()])));
        expect(new Set(node.cluster.nodeIds)).toEqual(new Set(running.map(({ cluster }) => cluster.nodeId)));
      }
      await Promise.all(running.map(({ cluster }) => cluster.stop()));
    }),
    { numRuns: Number(process.env['MODEL_RUNS'] ?? 60) },
  );
});
