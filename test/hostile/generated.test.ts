import { afterEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ChildApp } from '../support/child.js';
import type { Peer } from '../support/peer.js';
import { compressedBytes, compressedPayload, frameBytes, RawPeer, textBytes } from '../support/raw-peer.js';

const FRAMES = 100_000;
const FRAMES_PER_CONNECTION = 50;
const CONNECTIONS_AT_ONCE = 4;
/** What 75,000 frames may leave in the heap, after a collection: the engine's own noise is about 5. */
const BYTES_LEFT_PER_FRAME = 24;
/** `HOSTILE_SEED=… npm run jest -- test/hostile/generated` sends the same frames again. */
const SEED = Number(process.env['HOSTILE_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

/** The documented codes that an unruly peer can bring about; 1002 is RFC 6455's own. */
const CLOSE_CODES = new Set([1000, 1001, 1002, 1003, 1005, 1007, 1008, 1009, 4004]);
const ERROR_CODES = new Set([
  'BAD_FRAME',
  'UNKNOWN_ROUTE',
  'ROOM_NAME_INVALID',
  'ROOM_FORBIDDEN',
  'ROOM_LIMIT',
  'STREAM_LIMIT',
  'DUPLICATE_ID',
  'BAD_REQUEST',
  'VALIDATION_FAILED',
  'TIMEOUT',
  'CANCELLED',
  'INTERNAL',
]);

const json = fc.jsonValue({ maxDepth: 2 });
const ODD = ['__proto__', 'constructor', 'prototype', 'toString', '', '\0', '\ud800', '\uFEFF', 'x'.repeat(129)];
const odd = fc.oneof(fc.constantFrom(...ODD), fc.string(), json);
const mostly = <T>(usual: readonly T[]) =>
  fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...usual) }, { weight: 1, arbitrary: odd });

/** Nearly right: most of what it says is taken apart and looked at. */
const message = fc.record(
  {
    type: mostly(['test', 'system', 'error']),
    action: mostly(['echo', 'joinRoom', 'leaveRoom', 'ping', 'cancel', 'message', 'stream', 'throw']),
    id: fc.oneof(fc.integer(), odd),
    data: fc.oneof(
      json,
      fc.record(
        { roomName: mostly(['lobby', 'private:x']), username: odd, userType: odd, userId: odd, metadata: odd },
        { requiredKeys: [] },
      ),
      fc.dictionary(fc.constantFrom(...ODD), json),
    ),
    response: json,
    more: fc.boolean(),
    done: fc.boolean(),
  },
  { requiredKeys: ['type', 'action'] },
);

/** What JSON.stringify() never writes. */
const misspelt = fc
  .constantFrom('1e400', '-0', '9007199254740993', '"\\ud800"', '"\\u0000"', '{"__proto__":{"a":1}}', '1,"data":2', '[')
  .chain((value) =>
    fc.constantFrom('data', 'id', 'type', 'response').map((key) => `{"type":"test","action":"echo","${key}":${value}}`),
  );

const text = fc.oneof(
  { weight: 12, arbitrary: message.map((value) => JSON.stringify(value)) },
  { weight: 3, arbitrary: misspelt },
  { weight: 2, arbitrary: fc.json() },
  { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
  { weight: 1, arbitrary: fc.integer({ min: 20, max: 2_000 }).map((depth) => '['.repeat(depth) + ']'.repeat(depth)) },
);
const payload = text.map((value) => Buffer.from(value));

/** Well framed, whatever is in it: the connection lives on. */
const legal = fc.oneof(
  { weight: 8, arbitrary: fc.record({ payload, opcode: fc.constantFrom(1, 1, 2) }).map(frameBytes) },
  {
    weight: 1,
    arbitrary: fc
      .record({
        payload: fc.uint8Array({ maxLength: 125 }).map((bytes) => Buffer.from(bytes)),
        opcode: fc.constantFrom(9, 10),
      })
      .map(frameBytes),
  },
  {
    weight: 1,
    arbitrary: payload.map((whole) =>
      Buffer.concat([
        frameBytes({ payload: whole.subarray(0, 7), isFinal: false }),
        frameBytes({ opcode: 9 }),
        frameBytes({ payload: whole.subarray(7), opcode: 0 }),
      ]),
    ),
  },
);

/** For a peer that offered compression. */
const packed = fc.oneof(
  { weight: 8, arbitrary: legal },
  { weight: 4, arbitrary: text.map(compressedBytes) },
  // Compressed and in two pieces, with a pong between them.
  {
    weight: 1,
    arbitrary: text.map((value) => {
      const whole = compressedPayload(value);
      return Buffer.concat([
        frameBytes({ payload: whole.subarray(0, 5), isFinal: false, reserved: 4 }),
        frameBytes({ opcode: 10 }),
        frameBytes({ payload: whole.subarray(5), opcode: 0 }),
      ]);
    }),
  },
);

/** Breaks the framing, most of the time: the last that its connection says. */
const broken = fc.oneof(
  fc
    .record({
      payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      opcode: fc.integer({ min: 0, max: 15 }),
      isFinal: fc.boolean(),
      reserved: fc.constantFrom(0, 1, 7),
      isMasked: fc.boolean(),
      claimedLength: fc.option(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { nil: undefined, freq: 2 }),
    })
    // A field that is `undefined` takes its default, like one that is absent.
    .map((parts) => frameBytes(parts as Parameters<typeof frameBytes>[0])),
  fc.uint8Array({ minLength: 1, maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
);

const connectionOf = (frame: fc.Arbitrary<Buffer>) =>
  fc.record({
    frames: fc.array(frame, { minLength: FRAMES_PER_CONNECTION, maxLength: FRAMES_PER_CONNECTION, size: 'max' }),
    end: fc.option(broken, { nil: undefined, freq: 2 }),
    inOne: fc.boolean(),
  });

type Attack = ReturnType<typeof connectionOf> extends fc.Arbitrary<infer T> ? T : never;

/** The code of a short masked close frame. */
function closeCodeOf(frame: Buffer | undefined): number | undefined {
  if (!frame || frame.length < 8 || frame[0] !== 0x88) return undefined;
  const [, length, mask0, mask1, , , byte0, byte1] = frame as unknown as [
    number,
    number,
    number,
    number,
    0,
    0,
    number,
    number,
  ];
  return length >= 0x82 && length < 0xfe ? ((byte0 ^ mask0) << 8) | (byte1 ^ mask1) : undefined;
}

/** Sends the frames, and hears the server out. */
async function attack(app: ChildApp, { frames, end, inOne }: Attack, isCompressed: boolean) {
  const peer = await RawPeer.open(app.port, { isCompressed });
  const all = [...frames, textBytes({ type: 'test', action: 'echo', id: 'the last', data: null })];
  for (const bytes of inOne ? [Buffer.concat(all)] : all) peer.write(bytes);
  await Promise.race([peer.until(() => peer.bytes.includes('"id":"the last"')), peer.closed]);
  if (end) peer.write(end);
  peer.socket.end();
  await peer.closed;
  // Its own code comes back to a peer that closes (RFC 6455 section 5.5.1).
  if (peer.closeCode !== undefined) expect([...CLOSE_CODES, closeCodeOf(end)]).toContain(peer.closeCode);
  const errors = peer.messages.filter(
    ({ type, action, data }) => type === 'error' && action === 'message' && data?.code,
  );
  // One `expect()` for all: it costs more than a frame does.
  expect(errors.filter(({ data }) => !ERROR_CODES.has(data.code))).toEqual([]);
  expect(errors.filter(({ data }) => JSON.stringify(data).includes('secret text'))).toEqual([]);
  return { isHeardOut: peer.bytes.includes('"id":"the last"'), errors: errors.length };
}

async function attackWith(app: ChildApp, bystander: Peer, frameCount: number, isCompressed = false) {
  const numRuns = Math.ceil(frameCount / FRAMES_PER_CONNECTION / CONNECTIONS_AT_ONCE);
  const heaps: number[] = [];
  let [runs, heardOut, errors] = [0, 0, 0];
  const connection = connectionOf(isCompressed ? packed : legal);
  const several = fc.array(connection, { minLength: CONNECTIONS_AT_ONCE, maxLength: CONNECTIONS_AT_ONCE });
  const property = fc.asyncProperty(several, async (given) => {
    bystander.send('test', 'echo', runs);
    for (const seen of await Promise.all(given.map((one) => attack(app, one, isCompressed)))) {
      heardOut += Number(seen.isHeardOut);
      errors += seen.errors;
    }
    if (++runs % Math.ceil(numRuns / 4) === 0) {
      await app.untilStats(({ clients }) => clients === 1);
      heaps.push((await app.ask('collect')).stats?.heapUsed as number);
    }
  });
  await fc.assert(property, { seed: SEED, numRuns, endOnFailure: true });
  const bytesLeft = (heaps.at(-1) as number) - (heaps[0] as number);
  return { runs, heardOut, errors, heaps, bytesPerFrame: bytesLeft / (frameCount * 0.75) };
}

describe('R1: whatever bytes come', () => {
  let app: ChildApp;
  afterEach(() => app.stop());

  it('100,000 frames: the process lives, others are served, only documented codes come back, nothing stays', async () => {
    console.info(`HOSTILE_SEED=${SEED}`);
    app = await ChildApp.start('generated');
    const bystander = await app.connect();
    await bystander.join('bystanders');
    const { runs, heardOut, errors, heaps, bytesPerFrame } = await attackWith(app, bystander, FRAMES);
    console.info(
      `heap ${heaps.map((bytes) => (bytes / 1e6).toFixed(2)).join(', ')} MB: ${bytesPerFrame.toFixed(1)} bytes a frame`,
    );
    await bystander.settle();
    const echoes = bystander.received.filter(({ action }) => action === 'echo').map(({ response }) => response);
    expect(echoes).toEqual(Array.from({ length: runs }, (_, index) => index));
    expect(heardOut).toBeGreaterThan(runs * CONNECTIONS_AT_ONCE * 0.99);
    expect(errors).toBeGreaterThan(FRAMES / 10);
    expect(bytesPerFrame).toBeLessThan(BYTES_LEFT_PER_FRAME);
    expect((await app.stats()).rooms).toBe(1);
    expect(app.exit).toBeUndefined();
  }, 600_000);

  it('the same holds for connections that are compressed', async () => {
    app = await ChildApp.start('generated-compressed');
    const bystander = await app.connect();
    const { runs, heardOut } = await attackWith(app, bystander, FRAMES / 10, true);
    await bystander.settle();
    const echoes = bystander.received.filter(({ action }) => action === 'echo').map(({ response }) => response);
    expect(echoes).toEqual(Array.from({ length: runs }, (_, index) => index));
    expect(heardOut).toBeGreaterThan(runs * CONNECTIONS_AT_ONCE * 0.99);
    expect(app.exit).toBeUndefined();
  });

  it('an application that keeps what it is sent is found out by the same measure', async () => {
    app = await ChildApp.start('leaky');
    const { bytesPerFrame } = await attackWith(app, await app.connect(), FRAMES / 10);
    expect(bytesPerFrame).toBeGreaterThan(BYTES_LEFT_PER_FRAME * 2);
  });
});
