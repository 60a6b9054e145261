import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Bus } from '../../lib/cluster/bus.js';
import { systemIds } from '../../lib/cluster/ids.js';
import { MemoryNetwork } from '../../lib/cluster/memory-network.js';
import { MAX_TAILS, OutgoingSequences } from '../../lib/cluster/outgoing-sequences.js';
import type { Delivery } from '../../lib/protocol/delivery.js';
import { BusRecorder } from '../support/bus-recorder.js';
import { ManualClock } from '../support/manual-clock.js';

const toRoom = (name: string, text = 'x'): Delivery => ({
  audience: { kind: 'rooms', roomNames: [name] },
  frame: Buffer.from(text),
});

class LossyNode extends BusRecorder {
  /** What doesn't arrive here. */
  loses: (text: string, channel: string) => boolean = () => false;
  readonly bus: Bus;

  constructor(network: MemoryNetwork, clock: ManualClock, nodeId: string) {
    super();
    const transport = network.join();
    const connect = transport.connect.bind(transport);
    transport.connect = (listener) =>
      connect({
        ...listener,
        received: (channel, payload, way) => {
          if (!this.loses(payload.toString(), channel)) listener.received(channel, payload, way);
        },
      });
    this.bus = new Bus(transport, { prefix: 'app', nodeId, clock, ids: systemIds });
  }

  get missing(): number {
    return this.bus.counters.missing;
  }
}

describe('the last messages before a sender falls silent', () => {
  let clock: ManualClock;
  let network: MemoryNetwork;
  const nodes: LossyNode[] = [];
  const start = async (nodeId: string): Promise<LossyNode> => {
    const node = new LossyNode(network, clock, nodeId);
    nodes.push(node);
    await node.bus.start(node, []);
    await node.bus.follow({ kind: 'room', name: 'red' });
    return node;
  };
  beforeEach(() => {
    clock = new ManualClock();
    network = new MemoryNetwork(clock);
  });
  afterEach(() => Promise.all(nodes.splice(0).map(({ bus }) => bus.stop())));
  const losing = (...texts: string[]) => {
    const isLost = (payload: string): boolean => texts.some((text) => payload.endsWith(`\n${text}`));
    return isLost;
  };
  const send = async (from: LossyNode, ...texts: string[]): Promise<void> => {
    for (const text of texts) await from.bus.publish(toRoom('red', text));
    await clock.pass(0);
  };

  it('are missed as the first ones are, when others follow them', async () => {
    const [one, two] = [await start('one'), await start('two')];
    await clock.pass(10_000);
    two.loses = losing('1', '2');
    await send(one, '1', '2', '3', '4');
    expect([two.frames, two.missing]).toEqual([['3', '4'], 2]);
    await clock.pass(60_000);
    expect(two.missing).toBe(2);
    const three = await start('three'); // they weren't for it
    await send(one, '5');
    expect([two.missing, three.frames, three.missing]).toEqual([2, ['5'], 0]);
  });

  it('are not missed by whoever came after the first ones', async () => {
    const one = await start('one');
    await clock.pass(10_000);
    await send(one, '1', '2');
    await clock.pass(500);
    const two = await start('two');
    await clock.pass(2_000); // no beat of silence is announced in between
    await send(one, '3');
    expect([two.frames, two.missing]).toEqual([['3'], 0]);
  });

  it('are missed within three beats, once, and so is a gap before the next one', async () => {
    const [one, two] = [await start('one'), await start('two')];
    await clock.pass(10_000);
    two.loses = losing('2', '3', '5');
    await send(one, '1', '2', '3');
    expect([two.frames, two.missing]).toEqual([['1'], 0]);
    await clock.pass(6_000);
    expect(two.missing).toBe(2);
    await clock.pass(60_000);
    expect(two.missing).toBe(2);
    await send(one, '4', '5', '6');
    expect([two.frames, two.missing]).toEqual([['1', '4', '6'], 3]);
    await clock.pass(60_000);
    expect(two.missing).toBe(3);
    expect(two.failures.map(String).join()).toMatch(/2 messages of node one never came/);
  });

  it('are missed if they are events, too, by all but the sender', async () => {
    const [one, two] = [await start('one'), await start('two')];
    const raise = async (from: LossyNode, ...messages: number[]): Promise<void> => {
      for (const message of messages) await from.bus.emit('orders:shipped', message);
      await clock.pass(0);
    };
    await raise(one, 1);
    await clock.pass(10_000);
    one.loses = (_, channel) => !channel.includes(':$node:'); // its probes come back
    two.loses = (text) => text.startsWith('["orders:shipped",2,') || text.startsWith('["orders:shipped",3,');
    await raise(one, 2, 3);
    expect(two.missing).toBe(0);
    await clock.pass(6_000);
    expect([one.missing, two.missing]).toEqual([0, 2]);
    await raise(one, 4);
    await raise(two, 5);
    await clock.pass(60_000);
    expect([one.missing, two.missing]).toEqual([0, 2]);
    expect(one.events.map(([, message]) => message)).toEqual([1, 2, 3, 4]);
    expect(two.events.map(([, message]) => message)).toEqual([1, 4, 5]);
  });

  it('are missed when none ever came, by those who listened', async () => {
    const [one, two] = [await start('one'), await start('two')];
    await clock.pass(10_000);
    two.loses = losing('1', '2');
    await send(one, '1', '2');
    const late = await start('late');
    await clock.pass(60_000);
    expect([two.missing, late.missing]).toEqual([2, 0]);
  });

  it('are missed when they and what tells of them were lost for 20 s', async () => {
    const [one, two] = [await start('one'), await start('two')];
    await send(one, '1');
    await clock.pass(10_000);
    two.loses = (_, channel) => !channel.includes(':$node:'); // its probes come back
    await send(one, '2', '3');
    await clock.pass(20_000);
    expect([two.frames, two.missing]).toEqual([['1'], 0]);
    two.loses = () => false;
    await clock.pass(40_000);
    expect(two.missing).toBe(2);
  });

  it('are missed at once when the sender stops', async () => {
    const [one, two] = [await start('one'), await start('two')];
    await clock.pass(10_000);
    two.loses = losing('2');
    await send(one, '1', '2');
    await one.bus.stop();
    await clock.pass(0);
    expect([two.frames, two.missing]).toEqual([['1'], 1]);
  });

  it('are not missed where all of them came, nor after this node gave up the room', async () => {
    const [one, two, three] = [await start('one'), await start('two'), await start('three')];
    await clock.pass(10_000);
    three.loses = losing('3');
    await send(one, '1', '2', '3');
    three.bus.unfollow({ kind: 'room', name: 'red' });
    await clock.pass(60_000);
    expect([two.missing, three.missing]).toEqual([0, 0]);
    expect([two.bus.counters.junk, two.bus.counters.stale]).toEqual([0, 0]);
  });

  it('cost nothing while a channel is busy or forgotten, and a bounded event however many there are', () => {
    const sequences = new OutgoingSequences(4 * MAX_TAILS);
    const told: number[] = [];
    for (let now = 0; now <= 20_000; now += 2_000) {
      sequences.next('busy');
      told.push(sequences.tails(now).length);
    }
    expect(new Set(told)).toEqual(new Set([0]));
    for (let n = 0; n < 2.5 * MAX_TAILS; n++) sequences.next(`room ${n}`);
    const looks = [22_000, 24_000, 26_000, 28_000].map((now) => sequences.tails(now).length);
    expect(looks).toEqual([1, MAX_TAILS, MAX_TAILS, MAX_TAILS / 2 + 1]);
    for (let n = 0; n < 6 * MAX_TAILS; n++) sequences.next(`more ${n}`);
    expect(sequences.tails(30_000, true).length).toBeLessThanOrEqual(4 * MAX_TAILS);
  });
});
