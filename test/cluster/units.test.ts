import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { channelHead, Channels, clientIdOf, isInterest, nodeIdOf } from '../../lib/cluster/channels.js';
import { type Header, open, seal } from '../../lib/cluster/envelope.js';
import type { ClientNews } from '../../lib/cluster/client-news.js';
import type { ClientRecord } from '../../lib/cluster/client-record.js';
import { type Digest, Replica, type Snapshot } from '../../lib/cluster/replica.js';
import { IncomingSequences } from '../../lib/cluster/incoming-sequences.js';
import { OutgoingSequences } from '../../lib/cluster/outgoing-sequences.js';
import { Steps } from '../../lib/steps.js';
import { ManualClock } from '../support/manual-clock.js';

const text = fc.string({ unit: 'binary' });
const id = fc.string({ minLength: 1 });
const headers: fc.Arbitrary<Header> = fc.record({
  nodeId: text,
  sequence: fc.maxSafeNat(),
  sentAt: fc.maxSafeInteger(),
  audience: fc.option(
    fc.oneof(
      fc.record({ kind: fc.constant('clients' as const), clientIds: fc.array(text) }),
      fc.record({ kind: fc.constant('rooms' as const), roomNames: fc.array(text) }),
    ),
    { nil: undefined },
  ),
  except: fc.option(fc.array(text), { nil: undefined }),
  copyId: fc.option(fc.integer({ min: 1 }), { nil: undefined }),
  partsId: fc.option(fc.integer({ min: 1 }), { nil: undefined }),
  origin: fc.option(text, { nil: undefined }),
  begunMsAgo: fc.option(fc.nat(), { nil: undefined }),
});

describe('an envelope', () => {
  it('opens to what was sealed, the frame untouched byte for byte', () => {
    fc.assert(
      fc.property(headers, fc.uint8Array(), (header, frame) => {
        expect(open(seal(header, frame))).toEqual({ header, frame: Buffer.from(frame) });
      }),
    );
  });

  it('opens for 5,000 clients of one node as for one', () => {
    const clientIds = Array.from({ length: 5_000 }, (_, index) => clientIdOf('n'.repeat(22), `${index}`.padStart(22)));
    const header = { nodeId: 'n', sequence: 1, sentAt: 1, audience: { kind: 'clients' as const, clientIds } };
    expect(open(seal({ ...header, except: clientIds }, Buffer.from('{}')))?.header).toMatchObject(header);
  });

  it('is undefined for bytes that are none, and never throws', () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => expect(open(Buffer.from(bytes))).toBeUndefined()));
    fc.assert(
      fc.property(fc.json(), fc.uint8Array(), (line, rest) => {
        expect(open(Buffer.concat([Buffer.from(`${line}\n`), rest]))).toBeUndefined();
      }),
    );
  });

  it('is undefined when it is cut anywhere in its header', () => {
    fc.assert(
      fc.property(headers, fc.nat(), (header, at) => {
        const sealed = seal(header, Buffer.alloc(0));
        expect(open(sealed.subarray(0, at % sealed.length))).toBeUndefined();
      }),
    );
  });

  const good: unknown[] = [1, 'node', 7, 1_000, 0, 0, 0];
  it.each<[string, unknown[]]>([
    ['an older version', [0, ...good.slice(1)]],
    ['a newer version', [2, ...good.slice(1)]],
    ['a version that is text', ['1', ...good.slice(1)]],
    ['nothing but a version', [1]],
    ['a node id that is a number', good.with(1, 5)],
    ['a sequence that is a fraction', good.with(2, 1.5)],
    ['a sequence beyond what is safe', good.with(2, 2 ** 60)],
    ['a time that is text', good.with(3, '1000')],
    ['an audience of everybody', good.with(4, { kind: 'all' })],
    ['an audience of numbers', good.with(4, { kind: 'clients', clientIds: [1] })],
    ['an audience of null', good.with(4, null)],
    ['an audience without names', good.with(4, { kind: 'rooms' })],
    ['exclusions that are text', good.with(5, 'ada')],
    ['exclusions that are numbers', good.with(5, [1])],
    ['a copy id that is text', good.with(6, '1')],
  ])('is undefined for %s', (_, fields) => {
    expect(open(Buffer.from(`${JSON.stringify(good)}\n`))).toBeDefined();
    expect(open(Buffer.from(`${JSON.stringify(fields)}\n`))).toBeUndefined();
  });

  it('is undefined for a time that is infinite', () => {
    expect(open(Buffer.from('[1,"node",7,-1e999,0,0,0]\n'))).toBeUndefined();
  });

  it('is undefined for a header of many megabytes', () => {
    expect(open(Buffer.from(`[1,"${'n'.repeat(20_000_000)}",7,1000,0,0,0]\n`))).toBeUndefined();
  });
});

describe('channels', () => {
  const channels = new Channels('app:one');

  it('mean what they were made for', () => {
    fc.assert(
      fc.property(fc.constantFrom('room' as const, 'user' as const), id, (kind, name) => {
        expect(channels.meaningOf(channels.interest({ kind, name }))).toEqual({
          kind: 'delivery',
          audience: kind === 'room' ? { kind: 'rooms', roomNames: [name] } : { kind: 'users', userIds: [name] },
        });
      }),
    );
    fc.assert(
      fc.property(
        id.filter((name) => !name.includes(':')), // no id of a node has one
        (name) => {
          const [first, second, third] = channels.probes(name);
          for (const probe of [first, second, third])
            expect(channels.meaningOf(probe as string)).toEqual({ kind: 'probe' });
          expect([first, second, third].map((probe) => isInterest(probe as string))).toEqual([true, false, true]);
          expect(channels.meaningOf(channels.node(name))).toEqual({ kind: 'delivery', audience: undefined });
        },
      ),
    );
    fc.assert(
      fc.property(
        id.filter((name) => !name.startsWith('$')),
        (name) => expect(channels.meaningOf(channels.plain(name) as string)).toEqual({ kind: 'plain', name }),
      ),
    );
    expect(channels.meaningOf(channels.all)).toEqual({ kind: 'delivery', audience: { kind: 'all' } });
  });

  it('are never shared by two interests', () => {
    const interest = fc.record({ kind: fc.constantFrom('room' as const, 'user' as const), name: id });
    fc.assert(
      fc.property(interest, interest, (one, other) => {
        const isSame = one.kind === other.kind && one.name === other.name;
        expect(channels.interest(one) === channels.interest(other)).toBe(isSame);
      }),
    );
  });

  it('of another prefix are foreign', () => {
    const other = new Channels('two');
    for (const channel of [other.all, other.node('n'), other.events, `two:WebSocket:Custom`, 'app:on', '']) {
      expect(channels.meaningOf(channel)).toEqual({ kind: 'foreign' });
    }
  });

  it('of two applications begin differently, none with what another begins with, whatever their prefixes', () => {
    const prefix = fc.string({ minLength: 1, unit: fc.constantFrom('a', ':', '@', '%', '3', 'A', '$') });
    const database = fc.integer({ min: 0, max: 3 });
    fc.assert(
      fc.property(prefix, database, prefix, database, (one, oneDb, other, otherDb) => {
        const isSame = one === other && oneDb === otherDb;
        const heads = [channelHead(one, oneDb), channelHead(other, otherDb)] as const;
        expect(heads[0].startsWith(heads[1])).toBe(isSame);
      }),
      { numRuns: 2_000 },
    );
    expect(channelHead('pxl', 0)).toBe('pxl:');
    expect(channelHead('shop:orders', 3)).toBe('shop%3Aorders@3:');
  });

  it('tell the node of a client id, and of no other text', () => {
    const nodeId = fc.base64String({ minLength: 4 }).filter((made) => made.length > 0);
    fc.assert(fc.property(nodeId, text, (node, unique) => expect(nodeIdOf(clientIdOf(node, unique))).toBe(node)));
    for (const foreign of ['', '.', '.x', 'ada', 'c0ffee-1']) expect(nodeIdOf(foreign)).toBeUndefined();
  });
});

describe('sequences', () => {
  it('count each channel from 1, without a hole', () => {
    const outgoing = new OutgoingSequences();
    fc.assert(
      fc.property(fc.uniqueArray(id, { minLength: 1, maxLength: 5 }), fc.array(fc.nat(4)), (names, order) => {
        const sequences = new OutgoingSequences();
        const counted = new Map<string, number>();
        for (const index of order) {
          const name = names[index % names.length] as string;
          counted.set(name, (counted.get(name) ?? 0) + 1);
          expect(sequences.next(name)).toBe(counted.get(name));
        }
      }),
    );
    expect(outgoing.next('a')).toBe(1);
  });

  it('R12: remember no more channels than they may, and begin a forgotten one anew: no gap, and not late', () => {
    const outgoing = new OutgoingSequences(2);
    const publisher = new IncomingSequences().of('n', 0);
    const channels = ['a', 'a', 'b', 'c', 'c', 'b', 'a', 'd', 'b', 'a', 'a'];
    const gaps = channels.map((channel) => publisher.gapBefore(channel, outgoing.next(channel)));
    expect(gaps).toEqual(channels.map(() => 0));
    const last = outgoing.next('a');
    expect([publisher.gapBefore('a', last + 2), publisher.gapBefore('a', last)]).toEqual([2, -1]);
  });

  it('find exactly what is missing between the first and the last', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 200 }), (arrives) => {
        const publisher = new IncomingSequences().of('n', 0);
        const arrived = arrives.flatMap((does, index) => (does ? [index + 1] : []));
        const missing = arrived.reduce((sum, sequence) => sum + publisher.gapBefore('c', sequence), 0);
        const [first = 1] = arrived;
        const last = arrived.at(-1) ?? 0;
        expect(missing).toBe(Math.max(0, last - first + 1 - arrived.length));
      }),
    );
  });

  it('find no gap where listening began, on another channel, or of another publisher', () => {
    const incoming = new IncomingSequences();
    const gap = (nodeId: string, channel: string, sequence: number): number =>
      incoming.of(nodeId, 0).gapBefore(channel, sequence);
    expect([gap('n', 'a', 10), gap('n', 'b', 5), gap('m', 'a', 90), gap('n', 'a', 12)]).toEqual([0, 0, 0, 1]);
    incoming.forgetChannel('a');
    expect([gap('n', 'a', 50), gap('n', 'b', 7)]).toEqual([0, 1]);
    incoming.forgetNode('n'); // it may go on under another id
    expect(gap('n', 'b', 70)).toBe(62);
  });

  it('find what comes after a later one, and what comes twice', () => {
    const publisher = new IncomingSequences().of('n', 0);
    expect([1, 2, 5, 3, 4, 5, 6].map((sequence) => publisher.gapBefore('c', sequence))).toEqual([
      0, 0, 2, -1, -1, -1, 0,
    ]);
  });

  it('forget who has been silent for ten minutes', () => {
    const incoming = new IncomingSequences();
    incoming.of('n', 0).gapBefore('c', 1);
    incoming.sweep(600_000);
    expect(incoming.of('n', 0).gapBefore('c', 3)).toBe(1);
    incoming.sweep(600_001);
    expect(incoming.of('n', 600_001).gapBefore('c', 9)).toBe(0);
  });

  it('find every second copy within five seconds, and nothing else', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 100 }), (copies) => {
        const publisher = new IncomingSequences().of('n', 0);
        const seen = new Set<number>();
        for (const copyId of copies) {
          expect(publisher.copies.note(copyId, 0)).toBe(seen.has(copyId));
          seen.add(copyId);
        }
      }),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(9), fc.nat(9)), { maxLength: 100 }), (parts) => {
        const { copies } = new IncomingSequences().of('n', 0);
        const seen = new Set<string>();
        for (const [partsId, client] of parts) {
          expect(copies.partOf(partsId, 0)(`${client}`)).toBe(!seen.has(`${partsId} ${client}`));
          seen.add(`${partsId} ${client}`);
        }
      }),
    );
    // Two masters, one 4.4 s behind the other.
    const publisher = new IncomingSequences().of('n', 0);
    const copyIdAt = (ms: number): number => 1 + ms / 2;
    for (let now = 0; now < 30_000; now += 2) {
      expect(publisher.copies.note(copyIdAt(now), now)).toBe(false);
      if (now >= 4_400) expect(publisher.copies.note(copyIdAt(now - 4_400), now)).toBe(true);
    }
  });

  it('keep the numbers of copies and of parts apart, also of two publishers', () => {
    const incoming = new IncomingSequences();
    for (const nodeId of ['n', 'o']) {
      const { copies } = incoming.of(nodeId, 0);
      expect(copies.note(7, 0)).toBe(false);
      expect(copies.partOf(7, 0)('client')).toBe(true);
      expect(copies.partOf(7, 0)('client')).toBe(false);
      expect(copies.note(7, 0)).toBe(true);
      expect(copies.partOf(8, 0)('client')).toBe(true);
      expect(copies.note(8, 0)).toBe(false);
    }
  });
});

/** What one node did, in order: its n-th change has version n. */
interface History {
  nodeId: string;
  changes: { clientId: string; record: ClientRecord | undefined }[];
}

const recordOf = (clientId: string, rooms: string[]): ClientRecord => ({
  clientId,
  user: null,
  metadata: {},
  rooms,
  lastActivity: 0,
});

const histories: fc.Arbitrary<History[]> = fc
  .array(
    fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.option(fc.subarray(['red', 'blue']), { nil: undefined })), {
      minLength: 1,
      maxLength: 12,
    }),
    { minLength: 1, maxLength: 3 },
  )
  .map((nodes) =>
    nodes.map((changes, index) => ({
      nodeId: `n${index}`,
      changes: changes.map(([name, rooms]) => ({
        clientId: `n${index}.${name}`,
        record: rooms && recordOf(`n${index}.${name}`, rooms),
      })),
    })),
  );

const stateAt = ({ changes }: History, version: number): ClientRecord[] => {
  const records = new Map<string, ClientRecord>();
  for (const { clientId, record } of changes.slice(0, version)) {
    if (record) records.set(clientId, record);
    else records.delete(clientId);
  }
  return [...records.values()];
};

const byId = (one: ClientRecord, other: ClientRecord): number => (one.clientId < other.clientId ? -1 : 1);

/** A client counts, and each room that it is in. */
const countOf = (records: ClientRecord[]): number => records.reduce((sum, { rooms }) => sum + 1 + rooms.length, 0);

const newsOf = (clientId: string, record: ClientRecord | undefined): ClientNews => ({
  clientId,
  userId: undefined,
  moves: [],
  record,
  isGone: !record,
});

/** Of a client that is known only its moves. */
function newsAt(history: History, version: number): ClientNews {
  const { clientId, record } = history.changes[version - 1] as History['changes'][number];
  const before = stateAt(history, version - 1).find((known) => known.clientId === clientId);
  if (!before || !record) return newsOf(clientId, record);
  const left = before.rooms.filter((roomName) => !record.rooms.includes(roomName));
  const joined = record.rooms.filter((roomName) => !before.rooms.includes(roomName));
  const moves = [
    ...left.map((roomName) => ({ roomName, isIn: false })),
    ...joined.map((roomName) => ({ roomName, isIn: true })),
  ];
  return { ...newsOf(clientId, record), record: undefined, moves };
}

const digestAt = (history: History, version: number): Digest => ({
  version,
  count: countOf(stateAt(history, version)),
});

const snapshotAt = (history: History, version: number): Snapshot => ({
  digest: digestAt(history, version),
  records: stateAt(history, version),
  isComplete: true,
});

const whole = (version: number, count: number, records: ClientRecord[]): Snapshot => ({
  digest: { version, count },
  records,
  isComplete: true,
});

/** As the node itself would find by its digest. */
function isCurrent(replica: Replica, history: History): boolean {
  replica.compare(history.nodeId, digestAt(history, history.changes.length));
  return !replica.isIncomplete(history.nodeId);
}

describe('a replica', () => {
  const followed = (): { replica: Replica; view: Map<string, ClientRecord> } => {
    const view = new Map<string, ClientRecord>();
    const replica = new Replica(
      {
        put: (record) => void view.set(record.clientId, record),
        remove: (clientId) => void view.delete(clientId),
      },
      new Steps(new ManualClock(), (error) => {
        throw error;
      }),
    );
    return { replica, view };
  };

  it('is the same after any mixture of changes, snapshots and losses, once it is current', () => {
    const step = fc.tuple(fc.nat(2), fc.constantFrom('change', 'change', 'snapshot', 'drop'), fc.nat(12));
    fc.assert(
      fc.property(histories, fc.array(step, { maxLength: 40 }), (nodes, steps) => {
        const { replica, view } = followed();
        for (const [at, what, pick] of steps) {
          const history = nodes[at % nodes.length] as History;
          const { nodeId, changes } = history;
          const version = 1 + (pick % changes.length);
          if (what === 'change') replica.apply(nodeId, version, [newsAt(history, version)]);
          else if (what === 'snapshot') void replica.replace(nodeId, snapshotAt(history, version));
          else void replica.drop(nodeId);
          // Never current without being right.
          for (const other of nodes) {
            if (!isCurrent(replica, other)) continue;
            const shown = [...view.values()].filter((seen) => seen.clientId.startsWith(other.nodeId));
            expect(shown.toSorted(byId)).toEqual(stateAt(other, other.changes.length).toSorted(byId));
          }
        }
        for (const history of nodes) {
          const { nodeId, changes } = history;
          if (!isCurrent(replica, history)) void replica.replace(nodeId, snapshotAt(history, changes.length));
          expect(isCurrent(replica, history)).toBe(true);
        }
        const everyone = nodes.flatMap((history) => stateAt(history, history.changes.length));
        expect([...view.values()].toSorted(byId)).toEqual(everyone.toSorted(byId));
        replica.clear();
        expect(view.size).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  it('never goes back to what is older, and knows when something was skipped', () => {
    const { replica, view } = followed();
    replica.apply('n', 3, [newsOf('a', undefined)]);
    expect(replica.isIncomplete('n')).toBe(true);
    replica.apply('n', 2, [newsOf('a', recordOf('a', []))]);
    void replica.replace('n', whole(2, 1, [recordOf('a', [])]));
    expect([replica.isIncomplete('n'), [...view.keys()]]).toEqual([true, []]);
    void replica.replace('n', whole(3, 1, [recordOf('b', [])]));
    expect(replica.isIncomplete('n')).toBe(false);
    replica.apply('n', 4, [newsOf('b', recordOf('b', ['red']))]);
    expect([replica.isIncomplete('n'), [...view.values()]]).toEqual([false, [recordOf('b', ['red'])]]);
  });

  it('takes a snapshot that is older than what came while it was read, with that on top', () => {
    const { replica, view } = followed();
    replica.expect('n');
    for (const [version, name] of [...'abc'].entries())
      replica.apply('n', version + 3, [newsOf(name, recordOf(name, []))]);
    replica.apply('n', 6, [newsOf('x', undefined)]);
    void replica.replace('n', whole(2, 2, [recordOf('x', []), recordOf('y', [])]));
    expect([replica.isIncomplete('n'), [...view.keys()].toSorted()]).toEqual([false, ['a', 'b', 'c', 'y']]);
    replica.expect('n');
    replica.apply('n', 8, [newsOf('d', recordOf('d', []))]); // 7 was skipped
    void replica.replace('n', whole(6, 4, [...view.values()]));
    expect(replica.isIncomplete('n')).toBe(true);
  });

  it.each([
    ['a number that it never reached', 2 ** 47, 'b', recordOf('b', [])],
    ['a change of another', 2, 'b', recordOf('b', [])],
    ['a change of its own client', 2, 'a', recordOf('a', ['forged'])],
  ])('is incomplete, and goes on, when somebody else says for a node %s', (_, version, clientId, record) => {
    const { replica, view } = followed();
    replica.apply('n', 1, [newsOf('a', recordOf('a', []))]);
    replica.apply('n', version, [newsOf(clientId, record)]);
    if (version > 2) replica.compare('n', { version: 1, count: 1 });
    replica.apply('n', 2, [newsOf('a', recordOf('a', ['red']))]);
    expect(replica.isIncomplete('n')).toBe(true);
    replica.expect('n');
    void replica.replace('n', whole(2, 2, [recordOf('a', ['red'])]));
    expect([replica.isIncomplete('n'), [...view.values()]]).toEqual([false, [recordOf('a', ['red'])]]);
  });

  it('takes what is not whole where it has nothing, and only there', () => {
    const { replica, view } = followed();
    void replica.replace('n', { ...whole(2, 2, [recordOf('a', [])]), isComplete: false });
    expect([replica.isIncomplete('n'), [...view.keys()]]).toEqual([true, ['a']]);
    void replica.replace('n', { ...whole(0, 0, []), isComplete: false });
    expect([replica.isIncomplete('n'), [...view.keys()]]).toEqual([true, ['a']]);
    void replica.replace('n', whole(2, 2, [recordOf('a', []), recordOf('b', [])]));
    expect([replica.isIncomplete('n'), [...view.keys()]]).toEqual([false, ['a', 'b']]);
  });

  it('is complete without a client that only a newer version can read', () => {
    const { replica } = followed();
    void replica.replace('n', whole(3, 2, [recordOf('a', [])]));
    replica.compare('n', { version: 3, count: 2 });
    expect(replica.isIncomplete('n')).toBe(false);
    replica.compare('n', { version: 3, count: 1 });
    expect(replica.isIncomplete('n')).toBe(true);
  });

  it('keeps a client that came back under the new id of its node when the old id is dropped', () => {
    const { replica, view } = followed();
    void replica.replace('old', whole(1, 3, [recordOf('a', ['red']), recordOf('b', [])]));
    void replica.replace('new', whole(1, 2, [recordOf('a', ['blue'])]));
    void replica.drop('old');
    expect([...view.values()]).toEqual([recordOf('a', ['blue'])]);
  });
});
