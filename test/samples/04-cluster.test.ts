import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Frame, Peer } from '../support/peer.js';
import { freePort, hasRedis } from '../support/redis.js';
import { missingClientFiles } from './client-files.js';
import { type RunningSample, startSample } from './start-sample.js';

const isReady = hasRedis();
const suite = isReady ? describe : describe.skip;
const why = isReady ? '' : ' (skipped: there is no redis-server; apt-get install redis-server)';

const READY = /http:\/\/\S+/;

describe('the cluster sample without a Redis', () => {
  it('says in one line that there is no redis-server', async () => {
    await expect(startSample('04-cluster', { PATH: '', REDIS_URL: '' }, READY)).rejects.toThrow(
      /wrote:\nThere is no redis-server on the PATH\. Install it .+ set REDIS_URL\.\n$/,
    );
  });

  it('says in one line that nothing answers at REDIS_URL', async () => {
    const port = await freePort();
    await expect(startSample('04-cluster', { REDIS_URL: `redis://127.0.0.1:${port}` }, READY)).rejects.toThrow(
      /wrote:\nThere is no Redis at REDIS_URL \(ECONNREFUSED\)\. .+\n$/,
    );
  });
});

suite(`the cluster sample${why}`, () => {
  let sample: RunningSample;
  let page: Peer;
  const peers: Peer[] = [];

  beforeAll(async () => {
    sample = await startSample('04-cluster');
    page = await Peer.open(`${sample.url.replace('http', 'ws')}/ws`);
  });
  afterAll(async () => {
    for (const peer of peers) peer.terminate();
    page?.terminate();
    await sample?.stop();
  });

  const state = async (): Promise<Frame> => (await page.request('cluster', 'state')).response;

  async function portOf(name: string): Promise<number> {
    const { nodes } = await state();
    return nodes.find((node: { name: string }) => node.name === name).port;
  }

  /** Somebody who chats on a node, or through the load balancer. */
  async function guest(port: number, username: string, roomName: string): Promise<Peer> {
    const peer = await Peer.open(`ws://127.0.0.1:${port}/ws`);
    peers.push(peer);
    await peer.join(roomName, { username });
    return peer;
  }

  const guestOn = async (node: string, username: string, roomName: string): Promise<Peer> =>
    guest(await portOf(node), username, roomName);

  const namesIn = (frame: Frame, roomName: string): string[] =>
    frame.data.clients
      .filter(({ rooms }: { rooms?: string[] }) => rooms?.includes(roomName))
      .map(({ username }: { username: string }) => username)
      .toSorted();

  /** Resolves once a list names exactly these people in a room. Lists before it are used up: they tell of the past. */
  async function listed(peer: Peer, roomName: string, names: string[], promisedMs?: number): Promise<void> {
    const isList = ({ action }: Frame): boolean => action === 'clientList';
    while (namesIn(await peer.take(isList, promisedMs), roomName).join() !== names.toSorted().join());
  }

  const event = (fits: Record<string, unknown>): Promise<Frame> =>
    page.take(
      ({ action, data }) => action === 'event' && Object.entries(fits).every(([key, value]) => data[key] === value),
    );

  it('delivers a message once to the members of a room on each of the three nodes', async () => {
    const room = 'crossing';
    const [ada, bob, cem] = [
      await guestOn('A', 'Ada', room),
      await guestOn('B', 'Bob', room),
      await guestOn('C', 'Cem', room),
    ];
    await listed(cem, room, ['Ada', 'Bob', 'Cem']);
    const stranger = await guestOn('B', 'Dot', 'elsewhere');

    const { response } = await ada.request('chat', 'send', { roomName: room, text: 'Over there?' });
    for (const peer of [ada, bob, cem]) {
      expect((await peer.next('chat', 'message')).data).toMatchObject({ id: response.id, text: 'Over there?' });
    }
    await page.request('cluster', 'say', { roomName: room, text: 'From none of the nodes' });
    for (const peer of [ada, bob, cem]) {
      expect((await peer.next('chat', 'message')).data).toMatchObject({ text: 'From none of the nodes' });
    }
    const loaded = await cem.request('chat', 'load', { roomName: room });
    expect(loaded.response.messages.map(({ text }: { text: string }) => text)).toEqual([
      'Over there?',
      'From none of the nodes',
    ]);
    await stranger.settle();
    for (const peer of [ada, bob, cem, stranger]) {
      expect(peer.received.filter(({ type, action }) => type === 'chat' && action === 'message')).toEqual([]);
    }
  });

  it('says which node each client is on, and spreads those who come through the load balancer', async () => {
    const { balancerPort } = await state();
    const names = ['Eve', 'Fay', 'Gil'];
    const nodes: string[] = [];
    for (const name of names) {
      const peer = await guest(balancerPort, name, 'spread');
      nodes.push((await peer.request('node', 'name')).response);
    }
    expect(nodes.toSorted()).toEqual(['A', 'B', 'C']);
    const isSeen = ({ action, data }: Frame): boolean =>
      action === 'state' && namesIn({ data }, 'spread').join() === names.join();
    const { clients } = (await page.take(isSeen)).data;
    const seen = names.map((name) => clients.find(({ username }: Frame) => username === name));
    expect(seen.map(({ node, rooms }) => ({ node, rooms }))).toEqual(
      nodes.map((node) => ({ node, rooms: ['spread'] })),
    );
  });

  it('serves every file of the client that its page imports', async () => {
    expect(await missingClientFiles(sample.url)).toEqual([]);
  });

  it('refuses what is no node', async () => {
    expect(await page.request('cluster', 'kill', { name: '../A' })).toMatchObject({
      data: { code: 'VALIDATION_FAILED' },
    });
  });

  it('forgets the clients of a killed node on all others within ten seconds', async () => {
    const room = 'killing';
    const [ada, bob] = [await guestOn('A', 'Ada', room), await guestOn('B', 'Bob', room)];
    await listed(ada, room, ['Ada', 'Bob']);

    await page.request('cluster', 'kill', { name: 'B' });
    expect((await bob.closed).code).toBe(1006);
    await event({ kind: 'node-killed', node: 'B' });
    await listed(ada, room, ['Ada'], 10_000);
    await event({ kind: 'client-left', username: 'Bob', node: 'B', reason: 'node-lost' });
    expect((await state()).clients.filter(({ node }: Frame) => node === 'B')).toEqual([]);

    const port = await portOf('B');
    expect((await page.request('cluster', 'start', { name: 'B' })).response).toBeNull();
    expect(await portOf('B')).toBe(port);
    await guestOn('B', 'Bob again', room);
    await listed(ada, room, ['Ada', 'Bob again']);
  });

  it('gives the guest of a killed node on another one what was said meanwhile', async () => {
    const room = 'resuming';
    const [ada, bob] = [await guestOn('A', 'Ada', room), await guestOn('B', 'Bob', room)];
    await page.request('cluster', 'say', { roomName: room, text: 'One' });
    const { at } = await bob.next('chat', 'message');
    await page.request('cluster', 'kill', { name: 'B' });
    await bob.closed;
    for (const text of ['Two', 'Three']) await page.request('cluster', 'say', { roomName: room, text });

    const back = await Peer.open(`ws://127.0.0.1:${await portOf('C')}/ws`);
    peers.push(back);
    const since = { epoch: at.epoch, offset: at.offset };
    const { response } = await back.join(room, { username: 'Bob', since });
    expect(response.data.history).toMatchObject({ recovered: true, missed: 2 });
    await ada.request('chat', 'send', { roomName: room, text: 'Four' });
    for (const text of ['Two', 'Three', 'Four']) {
      expect((await back.next('chat', 'message')).data).toMatchObject({ text });
    }
    await page.request('cluster', 'start', { name: 'B' });
  });

  it('stores a message once that a guest sends again to another node', async () => {
    const room = 'again';
    const [ada, bob] = [await guestOn('A', 'Ada', room), await guestOn('B', 'Bob', room)];
    const message = { roomName: room, text: 'Did you get it?', key: 'key-00000001' };
    const first = await ada.request('chat', 'send', message);
    const second = await bob.request('chat', 'send', message);
    expect(second.response).toEqual(first.response);
    await bob.next('chat', 'message');
    await bob.settle();
    expect(bob.received.filter(({ type, action }) => type === 'chat' && action === 'message')).toEqual([]);
    const { response } = await bob.request('chat', 'load', { roomName: room });
    expect(response.messages).toHaveLength(1);
  });

  it('stops a node with 1012 for its clients, and the others see them leave before it has ended', async () => {
    const room = 'stopping';
    const [ada, cem] = [await guestOn('A', 'Ada', room), await guestOn('C', 'Cem', room)];
    await listed(ada, room, ['Ada', 'Cem']);

    await page.request('cluster', 'stop', { name: 'C' });
    expect((await cem.closed).code).toBe(1012);
    await listed(ada, room, ['Ada']);
    await event({ kind: 'client-left', username: 'Cem', reason: 'node-stopping' });
    await event({ kind: 'node-stopped', node: 'C' });

    const { balancerPort } = await state();
    const back = await guest(balancerPort, 'Cem', room);
    expect(['A', 'B']).toContain((await back.request('node', 'name')).response);
    await listed(ada, room, ['Ada', 'Cem']);
  });

  it('takes the nodes and its Redis down with it', async () => {
    const children = childrenOf(sample.child.pid as number);
    expect(children.length).toBeGreaterThanOrEqual(3); // A, B and Redis; C was stopped
    expect(await sample.stop()).toEqual({ code: 0, signal: null, isForced: false });
    expect(children.filter(isAlive)).toEqual([]);
  });
});

const childrenOf = (pid: number): number[] =>
  execFileSync('ps', ['-o', 'pid=,comm=', '--ppid', String(pid)], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .filter((line) => !line.endsWith(' ps'))
    .map((line) => Number.parseInt(line, 10));

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
