import { afterEach, describe, expect, it } from '@jest/globals';
import { ChildApp } from '../support/child.js';
import type { Peer } from '../support/peer.js';

const NAMES_PER_ROUND = 1_000;
/** Before these rounds, the process compiles what it uses. */
const WARM_UP = 2;
const ROUNDS = 4;
/** One that is kept would cost more than 100 bytes. */
const LONG = 'x'.repeat(100);

/** Everything that a client may name: rooms, itself, routes, ids of requests. */
async function makeUp(peer: Peer, round: number): Promise<void> {
  for (let count = 0; count < NAMES_PER_ROUND; count += 1) {
    const name = `${round}-${count}-${LONG}`;
    peer.send('system', 'joinRoom', { roomName: name, username: name, userType: name });
    peer.send('system', 'leaveRoom', { roomName: name });
    peer.send(`t${round}-${count}`, `a${count}`, name, name);
    peer.send('system', 'cancel', undefined, name);
    if (count % 50 === 49) await peer.settle();
    peer.received.length = 0;
  }
  await peer.join('lobby');
}

describe('R12: names that clients make up', () => {
  let app: ChildApp;
  afterEach(() => app.stop());

  it('leave nothing behind: neither rooms, routes nor ids of requests', async () => {
    app = await ChildApp.start('plain');
    const heaps: number[] = [];
    for (let round = 0; round <= WARM_UP + ROUNDS; round += 1) {
      const peer = await app.connect();
      await makeUp(peer, round);
      peer.terminate();
      await app.untilStats(({ clients }) => clients === 0);
      heaps.push((await app.ask('collect')).stats?.heapUsed as number);
    }
    const bytesPerName = ((heaps.at(-1) as number) - (heaps[WARM_UP] as number)) / (NAMES_PER_ROUND * ROUNDS);
    expect(bytesPerName).toBeLessThan(50);
    expect(await app.stats()).toMatchObject({ rooms: 0, errors: [] });
  }, 60_000);
});
