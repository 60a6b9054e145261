import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ChildApp } from '../support/child.js';
import type { Peer } from '../support/peer.js';
import { compressedBytes, frameBytes, RawPeer } from '../support/raw-peer.js';

const LARGE = compressedBytes(JSON.stringify({ type: 'test', action: 'nothing', data: ' '.repeat(60_000) }));
/** Keeps the inflater busy for some milliseconds: what follows is read while it still works. */
const BUSY = Buffer.concat(Array.from({ length: 40 }, () => LARGE));

const BROKEN: [what: string, bytes: Buffer][] = [
  ['text that is not UTF-8', frameBytes({ payload: Buffer.from([0xff, 0xfe]) })],
  ['an unknown opcode', frameBytes({ opcode: 3 })],
  ['an unmasked frame', frameBytes({ isMasked: false })],
  ['a message above the limit', frameBytes({ claimedLength: 2n ** 53n })],
  ['bytes that do not inflate', frameBytes({ payload: Buffer.alloc(20, 0xff), reserved: 4 })],
];
const BEHIND = [frameBytes({ opcode: 9, payload: 'x' }), compressedBytes('{}'), frameBytes({ opcode: 8 })];

describe('R1: a peer that breaks the protocol while its messages are inflated', () => {
  let app: ChildApp;
  let bystander: Peer;
  beforeAll(async () => {
    app = await ChildApp.start('compressed');
    bystander = await app.connect();
  });
  afterAll(() => app.stop());

  it.each(BROKEN)('ends its own connection alone: %s', async (_what, broken) => {
    for (const behind of BEHIND) {
      const peer = await RawPeer.open(app.port, { isCompressed: true });
      for (const bytes of [BUSY, broken, behind]) {
        peer.write(bytes);
        await pause(2); // a segment each: what comes in one piece is read in one go
      }
      await peer.until(() => peer.closeCode !== undefined);
      peer.reset();
    }
    expect((await bystander.request('test', 'echo', 1)).response).toBe(1);
    expect((await app.untilStats(({ clients }) => clients === 1)).errors).toEqual([]);
  });
});
