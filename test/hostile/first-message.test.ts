import { afterEach, describe, expect, it } from '@jest/globals';
import { ChildApp } from '../support/child.js';
import { frameBytes, RawPeer, textBytes } from '../support/raw-peer.js';

const coded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
/** Its key has to be asked for. */
const token = `${coded({ alg: 'RS256', kid: 'k' })}.${coded({ sub: 'ada' })}.${'A'.repeat(342)}`;
const MB = 1_000_000;
const LARGE = frameBytes({ payload: Buffer.alloc(60_000, ' ') });
const PING = frameBytes({ opcode: 9 });

describe('R1: what comes behind a token that is being checked', () => {
  let app: ChildApp;
  afterEach(() => app.stop());

  /** `tokenFrom: ['message']`, and a key server that takes its time. */
  async function begin(...behind: Buffer[]): Promise<RawPeer> {
    app = await ChildApp.start('slow-keys');
    await app.ask('collect');
    const peer = await RawPeer.handshake(app.port);
    const first = textBytes({ type: 'system', action: 'authenticate', data: { token }, id: 1 });
    peer.write(Buffer.concat([first, ...behind]));
    return peer;
  }
  const buffers = async (): Promise<number> => (await app.ask('collect')).stats?.buffers as number;

  it('is not kept once its socket is being closed', async () => {
    const peer = await begin(...Array.from({ length: 200 }, () => PING)); // over the rate
    await peer.until(() => peer.closeCode !== undefined);
    expect(peer.closeCode).toBe(4108);
    const before = await buffers();
    for (let sent = 0; sent < 20 * MB && !peer.isClosed; sent += LARGE.length) {
      if (!peer.socket.write(LARGE))
        await Promise.race([peer.closed, new Promise((r) => peer.socket.once('drain', r))]);
    }
    expect((await buffers()) - before).toBeLessThan(6 * MB); // 13 were kept once; what was just read is not collected yet
  });

  it('is kept up to a limit of bytes; above it the socket is closed', async () => {
    const peer = await begin(...Array.from({ length: 8_000 }, () => frameBytes()));
    await peer.until(() => peer.closeCode !== undefined);
    expect(peer.closeCode).toBe(1008);
    await peer.closed;
    expect((await app.stats()).errors).toEqual([]);
  });
});
