import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ChildApp } from '../support/child.js';
import type { Peer } from '../support/peer.js';
import { frameBytes, RawPeer } from '../support/raw-peer.js';

/** Connections, each with up to 40 frames: some thousands of frames in all. */
const RUNS = 150;
/** protocol.md, "Close codes", of those that an unruly peer can bring about; 1002 is RFC 6455's own. */
const DOCUMENTED = new Set([1000, 1001, 1002, 1003, 1005, 1007, 1008, 1009, 4004]);
const CODES = new Set([
  'BAD_FRAME',
  'UNKNOWN_ROUTE',
  'ROOM_NAME_INVALID',
  'ROOM_FORBIDDEN',
  'ROOM_LIMIT',
  'TIMEOUT',
  'INTERNAL',
]);

const pick = <T>(...values: T[]) => fc.constantFrom(...values);
const name = fc.oneof(pick('test', 'system', 'error', 'message', '__proto__', 'constructor', ''), fc.string());
const id = fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.jsonValue());
const data = fc.oneof(
  fc.jsonValue(),
  fc.record({ roomName: fc.oneof(pick('lobby', 'private:x', '__proto__'), fc.jsonValue()), userId: fc.jsonValue() }),
);

/** A message that is nearly right: most of what it says is taken apart and looked at. */
const message = fc.record(
  {
    type: fc.oneof(
      { weight: 4, arbitrary: pick('test', 'system', 'error') },
      { weight: 1, arbitrary: fc.oneof(name, fc.jsonValue()) },
    ),
    action: fc.oneof(
      { weight: 4, arbitrary: pick('echo', 'joinRoom', 'leaveRoom', 'ping', 'cancel', 'message', 'stream', 'throw') },
      { weight: 1, arbitrary: fc.oneof(name, fc.jsonValue()) },
    ),
    id,
    data,
    response: fc.jsonValue(),
    more: fc.boolean(),
    done: fc.boolean(),
  },
  { requiredKeys: ['type', 'action'] },
);

const text = fc.oneof(
  { weight: 6, arbitrary: message.map((value) => JSON.stringify(value)) },
  { weight: 2, arbitrary: fc.json() },
  { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
);

const payload = fc.oneof(
  { weight: 8, arbitrary: text.map((value) => Buffer.from(value)) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)) },
);

const frame = fc.oneof(
  { weight: 12, arbitrary: fc.record({ payload, opcode: pick(1, 1, 1, 2) }).map(frameBytes) },
  {
    weight: 2,
    arbitrary: fc
      .record({
        payload,
        opcode: fc.integer({ min: 0, max: 15 }),
        isFinal: fc.boolean(),
        reserved: pick(0, 0, 0, 1, 7),
        isMasked: pick(true, true, true, false),
      })
      .map(frameBytes),
  },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 64 }).map((bytes) => Buffer.from(bytes)) },
);

describe('R1: whatever bytes come', () => {
  let app: ChildApp;
  let bystander: Peer;
  let sent = 0;
  beforeAll(async () => {
    app = await ChildApp.start('strict-limits');
    bystander = await app.connect();
    await bystander.join('lobby');
  });
  afterAll(() => app.stop());

  it('the process lives, others are served, and only documented codes come back', async () => {
    let errors = 0;
    const property = fc.asyncProperty(
      fc.array(frame, { minLength: 1, maxLength: 40 }),
      fc.boolean(),
      async (frames, inOne) => {
        const peer = await RawPeer.open(app.port);
        if (inOne) peer.write(Buffer.concat(frames));
        else for (const bytes of frames) peer.write(bytes);
        peer.socket.end();
        expect((await bystander.request('test', 'echo', ++sent)).response).toBe(sent);
        await peer.closed;
        if (peer.closeCode !== undefined) expect(DOCUMENTED).toContain(peer.closeCode);
        for (const { type, data: told } of peer.messages) {
          if (type !== 'error') continue;
          errors++;
          expect(CODES).toContain(told.code);
          expect(JSON.stringify(told)).not.toContain('secret text');
        }
      },
    );
    // A failure names its seed and path: give them to fc.assert() to see it again.
    await fc.assert(property, { numRuns: RUNS, interruptAfterTimeLimit: 12_000, markInterruptAsFailure: false });
    expect(errors).toBeGreaterThan(RUNS);
    const { rooms } = await app.untilStats(({ clients }) => clients === 1);
    expect(rooms).toBe(1);
    bystander.received.length = 0;
    await bystander.settle();
    expect(bystander.received).toEqual([]);
  });
});
