import { afterEach, describe, expect, it } from '@jest/globals';
import { ChildApp } from '../support/child.js';
import type { Peer } from '../support/peer.js';

const NAMES_PER_ROUND = 1_000;
/** The process compiles what it uses, again and again, and its heap grows: with round 30 by nothing any more. */
const WARM_UP = 12;
const ROUNDS = 12;
/** What a round leaves to be compiled or collected differs by 80 bytes a name: so the least of these rounds counts. */
const LEAST_OF = 3;
/** As long as routes and ids may be. One that is kept costs more than 80 bytes. */
const LENGTH = 64;

/** Everything that a client may name: rooms, itself, routes, ids of requests. */
async function makeUp(peer: Peer, round: number): Promise<void> {
  for (let count = 0; count < NAMES_PER_ROUND; count += 1) {
    const name = `${round}-${count}-`.padEnd(LENGTH, 'x');
    peer.send('system', 'joinRoom', { roomName: name, username: name, userType: name });
    peer.send('system', 'leaveRoom', { roomName: name });
    peer.send(name, name, name, name);
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
    for (let round = 0; round < WARM_UP + ROUNDS + LEAST_OF; round += 1) {
      const peer = await app.connect();
      await makeUp(peer, round);
      peer.terminate();
      await app.untilStats(({ clients }) => clients === 0);
      heaps.push((await app.ask('collect')).stats?.heapUsed as number);
    }
    const leastFrom = (round: number): number => Math.min(...heaps.slice(round, round + LEAST_OF));
    const grown = leastFrom(WARM_UP + ROUNDS) - leastFrom(WARM_UP);
    expect(grown / (NAMES_PER_ROUND * ROUNDS)).toBeLessThan(50);
    expect(await app.stats()).toMatchObject({ rooms: 0, errors: [] });
  });
});
