import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CloseCode } from '../../lib/index.js';
import { ChildApp } from '../support/child.js';
import type { Peer } from '../support/peer.js';
import { frameBytes, type HandshakeOptions, RawPeer, textBytes } from '../support/raw-peer.js';
import { bearer, tokenFor } from '../support/tokens.js';

/** RFC 6455: `ws` itself answers a breach of the framing rules. */
const PROTOCOL_ERROR = 1002;
/** Of the scenario `strict-limits`. */
const MAX_PAYLOAD = 4_096;

const text = (parts: Parameters<typeof frameBytes>[0]) =>
  frameBytes({ payload: '{"type":"test","action":"echo"}', ...parts });
const fragments = (...payloads: Buffer[]) =>
  Buffer.concat(
    payloads.map((payload, index) =>
      frameBytes({ payload, opcode: index === 0 ? 1 : 0, isFinal: index === payloads.length - 1 }),
    ),
  );
function closeBytes(code: number): Buffer {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(code);
  return frameBytes({ opcode: 8, payload });
}

const BROKEN: [what: string, code: number, bytes: Buffer][] = [
  ...[1, 2, 4, 7].map((reserved) => [`reserved bits ${reserved}`, PROTOCOL_ERROR, text({ reserved })] as never),
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map(
    (opcode) => [`opcode ${opcode}`, PROTOCOL_ERROR, text({ opcode })] as never,
  ),
  ['an unmasked frame', PROTOCOL_ERROR, text({ isMasked: false })],
  ['a continuation of nothing', PROTOCOL_ERROR, text({ opcode: 0 })],
  [
    'a new message inside of another',
    PROTOCOL_ERROR,
    Buffer.concat([text({ isFinal: false }), text({ isFinal: false })]),
  ],
  ['a ping of 126 bytes', PROTOCOL_ERROR, frameBytes({ opcode: 9, payload: Buffer.alloc(126) })],
  ['a close of 126 bytes', PROTOCOL_ERROR, frameBytes({ opcode: 8, payload: Buffer.alloc(126) })],
  ['a pong of 126 bytes', PROTOCOL_ERROR, frameBytes({ opcode: 10, payload: Buffer.alloc(126) })],
  ['a ping of 2^63 bytes', PROTOCOL_ERROR, frameBytes({ opcode: 9, claimedLength: 2n ** 63n })],
  ['a fragmented pong', PROTOCOL_ERROR, frameBytes({ opcode: 10, isFinal: false })],
  ['a fragmented ping', PROTOCOL_ERROR, frameBytes({ opcode: 9, isFinal: false })],
  ['a fragmented close', PROTOCOL_ERROR, frameBytes({ opcode: 8, isFinal: false })],
  ['a close with one byte', PROTOCOL_ERROR, frameBytes({ opcode: 8, payload: Buffer.from([3]) })],
  ['a close with code 1005', PROTOCOL_ERROR, frameBytes({ opcode: 8, payload: Buffer.from([3, 0xed]) })],
  ...[0, 999, 1004, 1006, 1015, 1016, 2999, 5000, 65_535].map(
    (code) => [`a close with code ${code}`, PROTOCOL_ERROR, closeBytes(code)] as never,
  ),
  [
    'a close whose reason is not UTF-8',
    CloseCode.InvalidUtf8,
    frameBytes({ opcode: 8, payload: Buffer.from([3, 0xe8, 0xff]) }),
  ],
  ['bad UTF-8', CloseCode.InvalidUtf8, text({ payload: Buffer.from([0x22, 0xc3, 0x28, 0x22]) })],
  ['an encoded surrogate', CloseCode.InvalidUtf8, text({ payload: Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]) })],
  ['an overlong NUL', CloseCode.InvalidUtf8, text({ payload: Buffer.from([0x22, 0xc0, 0x80, 0x22]) })],
  ['a character cut off', CloseCode.InvalidUtf8, text({ payload: Buffer.from([0xf0, 0x9f, 0x98]) })],
  [
    'bad UTF-8 across fragments',
    CloseCode.InvalidUtf8,
    fragments(Buffer.from([0x22, 0xe2, 0x82]), Buffer.from([0x22])),
  ],
  ['bad UTF-8 in binary', CloseCode.InvalidUtf8, text({ opcode: 2, payload: Buffer.from([0x22, 0xff, 0x22]) })],
  ['a length of 2^63', CloseCode.TooBig, text({ claimedLength: 2n ** 63n })],
  ['a length of 2^64 - 1', CloseCode.TooBig, text({ claimedLength: 2n ** 64n - 1n })],
  ['a length of 2^53', CloseCode.TooBig, text({ claimedLength: 2n ** 53n })],
  ['a length just above the limit', CloseCode.TooBig, text({ claimedLength: BigInt(MAX_PAYLOAD + 1) })],
  ['fragments that add up to too much', CloseCode.TooBig, fragments(Buffer.alloc(MAX_PAYLOAD, 32), Buffer.from(' '))],
  ['129 fragments', CloseCode.Policy, fragments(...Array.from({ length: 129 }, () => Buffer.from(' ')))],
  [
    'one-byte fragments without end',
    CloseCode.Policy,
    Buffer.concat(
      Array.from({ length: 1_000 }, (_, index) =>
        frameBytes({ payload: ' ', opcode: index === 0 ? 1 : 0, isFinal: false }),
      ),
    ),
  ],
  ['the end of the handshake once more', PROTOCOL_ERROR, Buffer.from('GET /ws HTTP/1.1\r\nHost: x\r\n\r\n')],
];

const BAD_FRAME: [what: string, frame: string][] = [
  ['nothing', ''],
  ['no JSON', '{'],
  ['a NUL', '\0'],
  ['null', 'null'],
  ['true', 'true'],
  ['a number', '42'],
  ['a huge number', `1${'0'.repeat(400)}`],
  ['a text', '"test"'],
  ['a list', '["test","echo"]'],
  ['an empty object', '{}'],
  ['a byte order mark', '\uFEFF{"type":"test","action":"echo"}'],
  ['no action', '{"type":"test"}'],
  ['R10: a list for a type', '{"type":["test"],"action":"echo"}'],
  ['R10: an object for a type', '{"type":{"toString":"test"},"action":"echo"}'],
  ['R10: a number for an action', '{"type":"test","action":1}'],
  ['a lone surrogate as a type', '{"type":"\\ud800","action":"echo"}'],
  ['a NUL in an action', '{"type":"test","action":"echo\\u0000"}'],
  ['an empty type', '{"type":"","action":"echo"}'],
  ['a long type', `{"type":"${'t'.repeat(65)}","action":"echo"}`],
  ...['null', 'true', '{}', '[]', '[1]', '1.5', '1e400', '9007199254740993', '""', `"${'i'.repeat(65)}"`].map(
    (id) => [`the id ${id.slice(0, 20)}`, `{"type":"test","action":"echo","id":${id}}`] as [string, string],
  ),
  ['the id 2^53 + 1 with a sign', '{"type":"test","action":"echo","id":-9007199254740993}'],
  ['of two types the wrong one last', '{"type":"test","type":1,"action":"echo"}'],
  ['of two ids the wrong one last', '{"type":"test","action":"echo","id":1,"id":null}'],
  ['__proto__ in metadata', '{"type":"system","action":"joinRoom","data":{"roomName":"r","metadata":{"__proto__":1}}}'],
  [
    '__proto__ for a user name',
    '{"type":"system","action":"joinRoom","data":{"roomName":"r","username":{"__proto__":1}}}',
  ],
  ['__proto__ at the top', '{"type":"test","action":"echo","__proto__":{"isAdmin":true}}'],
  ['__proto__ in the data', '{"type":"test","action":"echo","data":{"__proto__":{"isAdmin":true}}}'],
  ['__proto__ in a list', '{"type":"test","action":"echo","data":[[{"a":{"__proto__":null}}]]}'],
  ['__proto__ spelt in escapes', '{"type":"test","action":"echo","data":{"\\u005f_proto__":1}}'],
  ['__proto__ in a reply', '{"type":"test","action":"echo","id":1,"response":{"__proto__":1}}'],
  ['__proto__ in an error', '{"type":"error","action":"message","id":1,"data":{"__proto__":1}}'],
  ['lists 1,000 deep', `{"type":"test","action":"echo","data":${'['.repeat(1_000)}${']'.repeat(1_000)}}`],
  ['objects 600 deep', `{"type":"test","action":"echo","data":${'{"a":'.repeat(600)}1${'}'.repeat(600)}}`],
  ['lists left open', '['.repeat(4_000)],
];

describe.each([
  ['strict-limits', false],
  ['strict-limits-compressed', true],
] as const)('R1: a frame that breaks the rules closes its own socket alone (%s):', (scenario, isCompressed) => {
  let app: ChildApp;
  let bystander: Peer;
  const open = (options: HandshakeOptions = {}) => RawPeer.open(app.port, { isCompressed, ...options });
  beforeAll(async () => {
    app = await ChildApp.start(scenario);
    bystander = await app.connect();
  });
  afterAll(() => app.stop());

  /** The process lives, and whoever is connected goes on as before. */
  async function expectPeace(): Promise<void> {
    expect((await bystander.request('test', 'echo', 'still here')).response).toBe('still here');
    const { clients, errors } = await app.untilStats((stats) => stats.clients === 1);
    expect({ clients, errors }).toEqual({ clients: 1, errors: [] });
  }

  // With compression this bit says that the message is compressed.
  const broken = isCompressed ? BROKEN.filter(([what]) => what !== 'reserved bits 4') : BROKEN;
  it.each(broken)('%s is closed with %i', async (_, code, bytes) => {
    const peer = await open();
    peer.write(bytes);
    await peer.until(() => peer.closeCode !== undefined);
    expect(peer.closeCode).toBe(code);
    peer.reset();
    await expectPeace();
  });

  it.each(BAD_FRAME)('%s is answered with BAD_FRAME', async (_, frame) => {
    const peer = await app.connect();
    peer.sendRaw(frame);
    const error = await peer.error();
    expect(error.data).toEqual({ code: 'BAD_FRAME', error: expect.any(String) });
    expect(await peer.request('test', 'echo', 'next')).toMatchObject({ response: 'next' });
    peer.terminate();
    await expectPeace();
  });

  it('bad frames without end are closed with 4004', async () => {
    const peer = await app.connect();
    for (let count = 0; count < 20; count++) peer.sendRaw('{');
    expect((await peer.closed).code).toBe(CloseCode.BadFrames);
    expect(peer.received).toHaveLength(10);
    await expectPeace();
  });

  it('a silent peer that does not answer the close is cut within two seconds', async () => {
    const peer = await open({ allowHalfOpen: true });
    peer.write(text({ reserved: 7 }));
    await peer.until(() => peer.closeCode !== undefined);
    await app.untilStats(({ clients, resources }) => clients === 1 && resources['TCPSocketWrap'] === 1, 2_000);
    peer.reset();
  });

  it('what a peer sends after its 4004 is not handled', async () => {
    const peer = await open();
    peer.write(
      Buffer.concat([
        ...Array.from({ length: 10 }, () => textBytes('{')),
        textBytes({ type: 'test', action: 'throw', data: { what: 'error' } }),
      ]),
    );
    await peer.until(() => peer.closeCode !== undefined);
    peer.reset();
    await expectPeace();
  });

  it('what a peer sends after its own close is not handled', async () => {
    const peer = await open();
    const late = { type: 'test', action: 'throw', data: { what: 'error' } };
    peer.write(Buffer.concat([closeBytes(1000), textBytes(late), frameBytes({ opcode: 9 }), text({ reserved: 7 })]));
    await peer.until(() => peer.closeCode !== undefined);
    expect(peer.closeCode).toBe(1000);
    await peer.closed;
    expect(peer.frames.map(({ opcode }) => opcode)).toEqual([1, 8]);
    await expectPeace();
  });

  it.each(['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty'])(
    '%s is a name like any other',
    async (name) => {
      const peer = await app.connect();
      for (const [type, action] of [
        [name, 'echo'],
        ['test', name],
        ['system', name],
        [name, name],
      ] as const) {
        expect((await peer.request(type, action)).data).toMatchObject({ code: 'UNKNOWN_ROUTE', type, action });
      }
      peer.send('test', 'echo', name, name);
      expect(await peer.take(({ id }) => id === name)).toMatchObject({ id: name, response: name });
      peer.send('system', 'cancel', undefined, name);
      await peer.join(name, { username: name, userType: name });
      expect((await app.stats()).rooms).toBe(1);
      expect((await peer.request('system', 'leaveRoom', { roomName: name })).response).toBeDefined();
      const { code } = (await peer.request('system', 'joinRoom', { roomName: { [name]: 1, x: 1 } })).data;
      expect(['ROOM_NAME_INVALID', 'BAD_FRAME']).toContain(code);
      peer.terminate();
      const { rooms } = await app.untilStats(({ clients }) => clients === 1);
      expect(rooms).toBe(0);
      await expectPeace();
    },
  );

  it('of a doubled key the last counts; -0 and safe integers are valid ids', async () => {
    const peer = await app.connect();
    for (const [given, id] of [
      ['-0', 0],
      ['9007199254740991', Number.MAX_SAFE_INTEGER],
      ['-9007199254740991', Number.MIN_SAFE_INTEGER],
      ['2,"id":3', 3],
      ['1e2', 100],
    ] as const) {
      peer.sendRaw(`{"type":"test","action":"echo","data":1,"data":2,"id":${given}}`);
      const reply = await peer.next('test', 'echo');
      expect([reply.id + 0, reply.response]).toEqual([id, 2]);
    }
    peer.terminate();
    await expectPeace();
  });

  it('a flood of pings is answered or cut', async () => {
    const peer = await open();
    const ping = frameBytes({ opcode: 9, payload: Buffer.alloc(125) });
    peer.write(Buffer.concat(Array.from({ length: 20_000 }, () => ping)));
    await Promise.race([peer.closed, peer.until(() => peer.frames.length > 20_000)]);
    peer.reset();
    await expectPeace();
  });

  it('a flood of pongs and of answers to nothing is survived', async () => {
    const peer = await open();
    const noise = [
      frameBytes({ opcode: 10, payload: Buffer.alloc(125) }),
      textBytes({ type: 'test', action: 'echo', id: 1, response: 'unasked' }),
      textBytes({ type: 'error', action: 'message', id: 1, data: null }),
      textBytes({ type: 'system', action: 'cancel', id: 'unknown' }),
    ];
    peer.write(Buffer.concat(Array.from({ length: 2_000 }, () => noise).flat()));
    peer.send({ type: 'test', action: 'echo', id: 'last', data: 'done' });
    await peer.until(() => peer.messages.some(({ id }) => id === 'last'));
    peer.reset();
    await expectPeace();
  });

  it('lone surrogates, huge numbers and odd keys pass through a handler unharmed', async () => {
    const odd =
      '{"text":"\\ud800","zero":"\\u0000","huge":1e400,"constructor":1,"toString":2,"then":3,"toJSON":4,"":5}';
    bystander.sendRaw(`{"type":"test","action":"echo","id":"odd","data":${odd}}`);
    const { response } = await bystander.take(({ id }) => id === 'odd');
    expect(response).toEqual({ ...JSON.parse(odd), huge: null });
    await expectPeace();
  });
});

describe('R1: the same frames around a first message', () => {
  it.each(['instead of it', 'together with one that is refused', 'after one that was refused'])('%s', async (when) => {
    const app = await ChildApp.start('first-message');
    try {
      const bystander = await app.connect(bearer(await tokenFor('ada')));
      const send = async (bytes: Buffer): Promise<void> => {
        const peer = await RawPeer.handshake(app.port);
        const first = when === 'instead of it' ? Buffer.alloc(0) : textBytes('{');
        if (when === 'after one that was refused') {
          peer.write(first);
          await peer.until(() => peer.closeCode !== undefined);
          peer.write(bytes);
        } else peer.write(Buffer.concat([first, bytes]));
        await peer.closed;
      };
      await Promise.all(BROKEN.map(([, , bytes]) => send(bytes)));
      expect((await bystander.request('test', 'echo', 'still here')).response).toBe('still here');
      expect((await app.stats()).errors).toEqual([]);
    } finally {
      await app.stop();
    }
  });
});
