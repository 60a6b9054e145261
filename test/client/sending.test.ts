import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { ConnectionError, RemoteError, TimeoutError } from '../../lib/errors.js';
import { ExpiredError, QueueFullError } from '../../lib/client/client-errors.js';
import {
  aMoment,
  cleanUp,
  connect,
  type Frame,
  type Peer,
  sleepFor,
  startServer,
  type ScriptedServer,
  TestClient,
} from './support.js';

afterEach(cleanUp);

type Keyed = Frame & { key: string; sentMsAgo?: number };
const RETRY = { retry: true } as const;
const UUID_7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** A server that knows keys, and what reaches it of `chat/*`, on all connections. */
async function keyedServer(userId: () => string | undefined = () => undefined): Promise<ScriptedServer> {
  const server = await startServer();
  server.greet = (peer, clientId) => {
    const user = userId();
    const data = { clientId, features: ['joinRooms', 'session', 'keys'], ...(user && { user: { userId: user } }) };
    peer.send({ type: 'system', action: 'connected', data });
  };
  return server;
}

const nextOf = (peer: Peer): Promise<Keyed> => peer.frames.take(({ type }) => type === 'chat') as Promise<Keyed>;
const dataOf = (peer: Peer): unknown[] => peer.frames.all.filter(({ type }) => type === 'chat').map(({ data }) => data);

const refuse = (peer: Peer, { id = 0 }: Frame, code: string, details?: object): void =>
  peer.send({ type: 'error', action: 'message', id, data: { error: 'Not now.', code, details } });
const refuseForRate = (peer: Peer, frame: Frame, retryAfterMs: number, gapMs?: number): void =>
  refuse(peer, frame, 'RATE_LIMITED', { retryAfterMs, gapMs });

describe('a request with a key', () => {
  it('has a new UUID of version 7 with each request, later ones sorting behind', async () => {
    const { client, peer } = await connect(await keyedServer());
    const keys: string[] = [];
    const replies = Array.from({ length: 20 }, (_, n) => client.request('chat', 'send', n, RETRY)); // within a millisecond
    for (const [n, reply] of replies.entries()) {
      const frame = await nextOf(peer);
      keys.push(frame.key);
      peer.reply(frame, n);
      expect(await reply).toBe(n);
    }
    for (const key of keys) expect(key).toMatch(UUID_7);
    expect(new Set(keys).size).toBe(20);
    expect(keys.toSorted()).toEqual(keys);
  });

  it('has the key that is given, also without being sent again', async () => {
    const server = await keyedServer();
    const { client, peer } = await connect(server);
    const reply = client.request('chat', 'send', 1, { key: 'mine' });
    expect(await nextOf(peer)).toMatchObject({ key: 'mine', data: 1 });
    peer.socket.terminate();
    await expect(reply).rejects.toThrow(ConnectionError);
    const without = client.request('chat', 'send', 2);
    await expect(without).rejects.toThrow(ConnectionError); // as ever
  });

  it('may take twice the usual time', async () => {
    const { client, peer } = await connect(await keyedServer(), { requestTimeoutMs: 100 });
    const startedAt = performance.now();
    await expect(client.request('chat', 'send', 1, RETRY)).rejects.toThrow(TimeoutError);
    expect(performance.now() - startedAt).toBeGreaterThan(190);
    peer.socket.terminate();
    await client.until('reconnecting');
    await client.until('open');
    expect(dataOf(await new Promise<Peer>((resolve) => resolve(peer)))).toEqual([1]); // given up: never sent again
  });
});

describe('the queue of a client', () => {
  it('C6: keeps what is sent without a connection, and sends it in order, with what was under way first', async () => {
    const server = await keyedServer();
    const { client, peer } = await connect(server);
    const replies = [1, 2].map((n) => client.request('chat', 'send', n, RETRY));
    const [first] = [await nextOf(peer), await nextOf(peer)];
    peer.socket.terminate();
    await client.until('reconnecting');
    const changed = { n: 3 };
    replies.push(client.request('chat', 'send', changed, RETRY), client.request('chat', 'send', 4, RETRY));
    changed.n = 33; // too late
    const again = await server.peers.take();
    const frames: Frame[] = [];
    for (const data of [1, 2, { n: 3 }, 4]) {
      const frame = await nextOf(again);
      expect(frame.data).toEqual(data);
      if (data === 1) expect(frame.key).toBe(first.key);
      frames.push(frame);
    }
    for (const frame of frames.toReversed()) again.reply(frame, frame.data); // none has waited for another's answer
    expect(await Promise.all(replies)).toEqual([1, 2, { n: 3 }, 4]);
  });

  it('has 32 requests under way at most, so that a server has no more to refuse', async () => {
    const server = await keyedServer();
    const client = new TestClient({ url: server.url });
    const replies = Array.from({ length: 40 }, (_, n) => client.request('chat', 'send', n, RETRY));
    await client.connectToServer();
    const peer = await server.peers.take();
    const frames: Frame[] = [];
    while (frames.length < 32) frames.push(await nextOf(peer));
    await aMoment();
    expect(dataOf(peer)).toHaveLength(32);
    for (let n = 0; n < 40; n++) {
      const frame = frames[n] as Frame;
      expect(frame.data).toBe(n);
      peer.reply(frame, n);
      if (frames.length < 40) frames.push(await nextOf(peer));
    }
    expect(await Promise.all(replies)).toEqual(Array.from({ length: 40 }, (_, n) => n));
  });

  it('waits for the first connection, too, and sends later requests behind the earlier ones', async () => {
    const server = await keyedServer();
    const client = new TestClient({ url: server.url });
    const early = client.request('chat', 'send', 1, RETRY);
    const second = client.request('chat', 'send', 2, RETRY);
    await client.connectToServer();
    const late = client.request('chat', 'send', 3, RETRY);
    const peer = await server.peers.take();
    for (const n of [1, 2, 3]) {
      const frame = await nextOf(peer);
      expect(frame.data).toBe(n);
      peer.reply(frame, n);
    }
    expect(await Promise.all([early, second, late])).toEqual([1, 2, 3]);
    // Nothing waits any more: requests don't wait for each other.
    const both = [client.request('chat', 'send', 4, RETRY), client.request('chat', 'send', 5, RETRY)];
    const frames = [await nextOf(peer), await nextOf(peer)];
    for (const frame of frames.toReversed()) peer.reply(frame, frame.data);
    expect(await Promise.all(both)).toEqual([4, 5]);
  });

  it('C6: refuses the new one when it is full, and those under way at a cut count', async () => {
    const server = await keyedServer();
    const { client, peer } = await connect(server, { queue: { maxMessages: 3 } });
    const kept = [1, 2].map((n) => client.request('chat', 'send', n, RETRY));
    await nextOf(peer);
    peer.socket.terminate();
    await client.until('reconnecting');
    kept.push(client.request('chat', 'send', 3, RETRY));
    await expect(client.request('chat', 'send', 4, RETRY)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    const again = await server.peers.take();
    for (const n of [1, 2, 3]) {
      const frame = await nextOf(again);
      expect(frame.data).toBe(n);
      again.reply(frame, n);
    }
    await Promise.all(kept);
    const next = client.request('chat', 'send', 5, RETRY); // there is room again
    again.reply(await nextOf(again), 5);
    await next;
    expect([...dataOf(peer), ...dataOf(again)]).not.toContain(4);
  });

  it('C6: refuses what would exceed its bytes', async () => {
    const server = await keyedServer();
    const client = new TestClient({ url: server.url, queue: { maxBytes: 1_000 } });
    await expect(client.request('chat', 'send', 'x'.repeat(1_000), RETRY)).rejects.toThrow(QueueFullError);
    const fits = client.request('chat', 'send', 'x'.repeat(300), RETRY);
    await expect(client.request('chat', 'send', 'ü'.repeat(300), RETRY)).rejects.toThrow(/1000 bytes wait \(queue\)/);
    await client.connectToServer();
    const peer = await server.peers.take();
    peer.reply(await nextOf(peer), 'well');
    expect(await fits).toBe('well');
  });

  it('C4: lets requests expire, says whether they were sent, and never sends them later', async () => {
    const server = await keyedServer();
    const { client, peer } = await connect(server, {
      queue: { maxAgeMs: 100 },
      reconnect: { minDelayMs: 30_000, maxDelayMs: 30_000 },
    });
    const sent = client.request('chat', 'send', 'sent', RETRY);
    await nextOf(peer);
    server.refusal = { status: 503 };
    peer.socket.terminate();
    await client.until('reconnecting');
    const waiting = client.request('chat', 'send', 'waiting', RETRY);
    const outcomes = await Promise.allSettled([sent, waiting]);
    expect(outcomes.map((one) => (one.status === 'rejected' ? (one.reason as ExpiredError) : one))).toMatchObject([
      { code: 'EXPIRED', wasSent: true },
      { code: 'EXPIRED', wasSent: false },
    ]);
    server.refusal = undefined;
    await client.connectToServer();
    const again = await server.peers.take();
    const later = client.request('chat', 'send', 'later', RETRY);
    again.reply(await nextOf(again), 1);
    await later;
    expect(dataOf(again)).toEqual(['later']);
  });

  it('C4: counts the time that the machine slept', async () => {
    const server = await keyedServer();
    const { client, peer } = await connect(server);
    const short = client.request('chat', 'send', 'short', RETRY);
    await nextOf(peer);
    sleepFor(30_000);
    peer.socket.terminate();
    const second = await server.peers.take();
    const again = await nextOf(second);
    expect(again.sentMsAgo).toBeGreaterThanOrEqual(30_000);
    second.reply(again, 'short');
    expect(await short).toBe('short');
    const long = client.request('chat', 'send', 'long', RETRY);
    await nextOf(second);
    second.socket.terminate();
    await client.until('reconnecting');
    const never = client.request('chat', 'send', 'never', RETRY);
    sleepFor(60_000);
    const outcomes = await Promise.allSettled([long, never]);
    expect(outcomes.map((one) => (one.status === 'rejected' ? (one.reason as ExpiredError) : one))).toMatchObject([
      { code: 'EXPIRED', wasSent: true },
      { code: 'EXPIRED', wasSent: false },
    ]);
    const third = await server.peers.take();
    const now = client.request('chat', 'send', 'now', RETRY);
    third.reply(await nextOf(third), 1);
    await now;
    expect(dataOf(third)).toEqual(['now']);
  });

  it('says since when it was sent, not since when it waited', async () => {
    const server = await keyedServer();
    const client = new TestClient({ url: server.url });
    const reply = client.request('chat', 'send', 1, RETRY);
    sleepFor(30_000);
    await client.connectToServer();
    const peer = await server.peers.take();
    expect((await nextOf(peer)).sentMsAgo).toBeUndefined();
    peer.socket.terminate();
    const second = await server.peers.take();
    const again = await nextOf(second);
    expect(again.sentMsAgo).toBeLessThan(30_000);
    second.reply(again, 'well');
    expect(await reply).toBe('well');
  });

  it('waits as long as the server says, tries one alone, and goes on as before', async () => {
    const server = await keyedServer();
    const { client, peer } = await connect(server);
    const replies = [1, 2, 3, 4].map((n) => client.request('chat', 'send', n, RETRY));
    peer.reply(await nextOf(peer), 1);
    const refused = await nextOf(peer);
    const at = performance.now();
    refuseForRate(peer, refused, 1_000);
    for (const behind of [await nextOf(peer), await nextOf(peer)]) refuseForRate(peer, behind, 0);
    const again = await nextOf(peer);
    expect(again).toMatchObject({ data: 2, key: refused.key });
    expect(performance.now() - at).toBeGreaterThan(990);
    await aMoment();
    expect(dataOf(peer).at(-1)).toBe(2);
    peer.reply(again, 2);
    const answeredAt = performance.now();
    for (const frame of [await nextOf(peer), await nextOf(peer)]) peer.reply(frame, frame.data);
    expect(await Promise.all(replies)).toEqual([1, 2, 3, 4]);
    expect(performance.now() - answeredAt).toBeLessThan(900); // it waited once, not before each
  });

  it('keeps the pace that the server asks for, until nothing waits', async () => {
    const { client, peer } = await connect(await keyedServer());
    const replies = [1, 2, 3].map((n) => client.request('chat', 'send', n, RETRY));
    refuseForRate(peer, await nextOf(peer), 0, 600);
    for (const behind of [await nextOf(peer), await nextOf(peer)]) refuseForRate(peer, behind, 0);
    const times: number[] = [];
    for (const n of [1, 2, 3]) {
      const frame = await nextOf(peer);
      expect(frame.data).toBe(n);
      times.push(performance.now());
      peer.reply(frame, n);
    }
    const [one = 0, two = 0, three = 0] = times;
    expect(two - one).toBeGreaterThan(400);
    expect(three - two).toBeGreaterThan(400);
    expect(await Promise.all(replies)).toEqual([1, 2, 3]);
    await aMoment(650);
    const both = [client.request('chat', 'send', 4, RETRY), client.request('chat', 'send', 5, RETRY)];
    for (const frame of [await nextOf(peer), await nextOf(peer)]) peer.reply(frame, frame.data);
    expect(await Promise.all(both)).toEqual([4, 5]);
  });

  it('keeps the last pace that the server asked for, and forgets it with the connection', async () => {
    const server = await keyedServer();
    const { client, peer } = await connect(server);
    const replies = [1, 2].map((n) => client.request('chat', 'send', n, RETRY));
    refuseForRate(peer, await nextOf(peer), 0, 600);
    refuseForRate(peer, await nextOf(peer), 0);
    refuseForRate(peer, await nextOf(peer), 0, 600);
    const first = await nextOf(peer);
    const at = performance.now();
    peer.reply(first, 1);
    peer.reply(await nextOf(peer), 2);
    expect(performance.now() - at).toBeLessThan(1_100); // not the sum of both
    expect(await Promise.all(replies)).toEqual([1, 2]);
    const [refused, behind] = [3, 4].map((n) => client.request('chat', 'send', n, RETRY));
    refuseForRate(peer, await nextOf(peer), 0, 5_000);
    client.disconnect();
    await Promise.allSettled([refused, behind]);
    void client.connectToServer();
    const later = [5, 6, 7].map((n) => client.request('chat', 'send', n, RETRY));
    const second = await server.peers.take();
    for (const n of [5, 6, 7]) second.reply(await nextOf(second), n);
    expect(await Promise.all(later)).toEqual([5, 6, 7]);
  });

  it('takes a request that is made as the state becomes open for the user of the new connection', async () => {
    let user = 'ada';
    const server = await keyedServer(() => user);
    const { client } = await connect(server);
    user = 'bob';
    const replies: Promise<unknown>[] = [];
    client.on('state', ({ state }) => {
      if (state === 'open') replies.push(client.request('chat', 'send', client.user?.userId, RETRY));
    });
    await client.reconnect();
    const peer = await server.peers.take();
    peer.reply(await nextOf(peer), 'taken');
    expect(await Promise.all(replies)).toEqual(['taken']);
  });

  it('C4: tries again when the server can say for now neither that it was handled nor that it was not', async () => {
    const server = await keyedServer();
    const { client, peer } = await connect(server);
    const reply = client.request('chat', 'send', 1, RETRY);
    const first = await nextOf(peer);
    peer.socket.terminate();
    const second = await server.peers.take();
    refuse(second, await nextOf(second), 'UNAVAILABLE', { retryAfterMs: 20 });
    const again = await nextOf(second);
    expect(again.key).toBe(first.key);
    expect(again.sentMsAgo).toBeGreaterThan(20); // it may have been handled on the first connection
    second.reply(again, 'handled before');
    expect(await reply).toBe('handled before');
    const refused = client.request('chat', 'send', 2, RETRY);
    refuse(second, await nextOf(second), 'UNAVAILABLE');
    await expect(refused).rejects.toMatchObject({ code: 'UNAVAILABLE' }); // a handler's, for good
  });

  it('does not take for sent what the server refused because of the rate', async () => {
    const server = await startServer(); // it knows no keys
    const { client, peer } = await connect(server);
    const reply = client.request('chat', 'send', 1, RETRY);
    refuseForRate(peer, await nextOf(peer), 10);
    const again = await nextOf(peer);
    expect(again.sentMsAgo).toBeUndefined();
    peer.reply(again, 'well');
    expect(await reply).toBe('well');
  });

  it('waits, however long the server says, and takes for a refusal what says no time', async () => {
    const { client, peer } = await connect(await keyedServer());
    const odd = client.request('chat', 'send', 1, RETRY);
    refuseForRate(peer, await nextOf(peer), -1);
    await expect(odd).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    const reply = client.request('chat', 'send', 2, RETRY);
    reply.catch(() => undefined);
    refuseForRate(peer, await nextOf(peer), 1e12); // more than a timer takes
    await aMoment(200);
    expect(dataOf(peer)).toEqual([1, 2]);
    client.disconnect();
    await expect(reply).rejects.toThrow(ConnectionError);
  });

  it('C4: settles everything when the client is closed, and sends nothing of it afterwards', async () => {
    const server = await keyedServer();
    const { client, peer } = await connect(server);
    const underWay = client.request('chat', 'send', 'under way', RETRY);
    await nextOf(peer);
    client.disconnect();
    await expect(underWay).rejects.toThrow('disconnect() was called.');
    await expect(client.request('chat', 'send', 'closed', RETRY)).rejects.toThrow(/client is closed/);
    const idle = new TestClient({ url: server.url });
    const early = idle.request('chat', 'send', 'early', RETRY);
    idle.disconnect();
    await expect(early).rejects.toThrow(/The client is closed/);
    await client.connectToServer();
    const again = await server.peers.take();
    await aMoment();
    expect(dataOf(again)).toEqual([]);
  });

  it('C4: settles everything when the server sends the client away for good', async () => {
    const server = await keyedServer();
    const { client, peer } = await connect(server);
    const reply = client.request('chat', 'send', 1, RETRY);
    await nextOf(peer);
    peer.socket.close(4003, 'forbidden');
    await expect(reply).rejects.toMatchObject({ code: 'CONNECTION', closeCode: 4003 });
    const refused = new TestClient({ url: 'ws://127.0.0.1:1/ws' });
    const early = refused.request('chat', 'send', 1, RETRY);
    early.catch(() => undefined);
    await expect(refused.connectToServer()).rejects.toThrow(ConnectionError);
    await expect(early).rejects.toThrow(/The client is closed/);
  });

  it('C4: takes the first answer, and no other', async () => {
    const server = await keyedServer();
    const { client, peer } = await connect(server);
    const reply = client.request('chat', 'send', 1, RETRY);
    const frame = await nextOf(peer);
    peer.reply(frame, 'first');
    peer.reply(frame, 'second');
    peer.refuse(frame, 'FORBIDDEN');
    peer.socket.terminate();
    expect(await reply).toBe('first');
    const again = await server.peers.take();
    await client.until('open');
    await aMoment();
    expect(dataOf(again)).toEqual([]);
    const refused = client.request('chat', 'send', 2, RETRY);
    again.refuse(await nextOf(again), 'FORBIDDEN');
    await expect(refused).rejects.toThrow(RemoteError);
  });

  it('C4: ends with the signal, wherever it is', async () => {
    const server = await keyedServer();
    const { client, peer } = await connect(server);
    const [underWay, waiting] = [new AbortController(), new AbortController()];
    const first = client.request('chat', 'send', 1, { retry: true, signal: underWay.signal });
    await nextOf(peer);
    underWay.abort(new Error('not any more'));
    await expect(first).rejects.toThrow('not any more');
    peer.socket.terminate();
    await client.until('reconnecting');
    const second = client.request('chat', 'send', 2, { retry: true, signal: waiting.signal });
    waiting.abort(new Error('nor this'));
    await expect(second).rejects.toThrow('nor this');
    await expect(client.request('chat', 'send', 3, { retry: true, signal: waiting.signal })).rejects.toThrow(
      'nor this',
    );
    const again = await server.peers.take();
    await client.until('open');
    await aMoment();
    expect(dataOf(again)).toEqual([]);
  });

  it('sends nothing for another user, and nothing twice to a server without keys', async () => {
    let user: string | undefined = 'ada';
    const server = await keyedServer(() => user);
    const { client, peer } = await connect(server);
    const adas = client.request('chat', 'send', 1, RETRY);
    await nextOf(peer);
    user = 'bob';
    peer.socket.terminate();
    await expect(adas).rejects.toThrow(/Another user or server is connected/);
    const second = await server.peers.take();
    const bobs = client.request('chat', 'send', 2, RETRY);
    await nextOf(second);
    server.greet = (peer, clientId) =>
      peer.send({ type: 'system', action: 'connected', data: { clientId, user: { userId: 'bob' } } });
    second.socket.terminate();
    await expect(bobs).rejects.toThrow(/Another user or server is connected/);
  });

  it('C4: sends nothing for another user that the server refused because of the rate as the client was closed', async () => {
    let user = 'ada';
    const server = await keyedServer(() => user);
    const { client, peer } = await connect(server);
    client.on('chat', 'over', () => client.disconnect());
    const adas = client.request('chat', 'send', 'hers', RETRY);
    const asked = await nextOf(peer);
    const { _socket: socket } = peer.socket as unknown as { _socket: Socket };
    socket.cork(); // the client reads both in one turn
    refuseForRate(peer, asked, 10);
    peer.send({ type: 'chat', action: 'over' });
    socket.uncork();
    await expect(adas).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    user = 'bob';
    await client.connectToServer();
    const second = await server.peers.take();
    const bobs = client.request('chat', 'send', 'his', RETRY);
    const frame = await nextOf(second);
    second.reply(frame, null);
    await bobs;
    expect(dataOf(second)).toEqual(['his']);
  });

  it('is for whoever connects next, once the client was closed', async () => {
    let user = 'ada';
    const server = await keyedServer(() => user);
    const { client } = await connect(server);
    client.disconnect();
    user = 'bob';
    const connecting = client.connectToServer();
    const bobs = client.request('chat', 'send', 1, RETRY);
    const peer = await server.peers.take();
    peer.reply(await nextOf(peer), 'well');
    expect(await bobs).toBe('well');
    await connecting;
  });

  it('keeps a request while the server is closing its connection', async () => {
    const server = await keyedServer();
    const { client, peer } = await connect(server);
    peer.socket.close(1012, 'restarting');
    const replies = [1, 2].map((n) => client.request('chat', 'send', n, RETRY));
    while (client.state === 'open') {
      replies.push(client.request('chat', 'send', replies.length + 1, RETRY));
      await aMoment(1);
    }
    const again = await server.peers.take();
    for (const [at, reply] of replies.entries()) {
      const frame = await nextOf(again);
      expect(frame.data).toBe(at + 1);
      again.reply(frame, at);
      expect(await reply).toBe(at);
    }
  });

  it('has room for messages of a room, with one key for the room and for the request', async () => {
    const server = await keyedServer();
    const { client, peer } = await connect(server);
    const room = client.room('lobby');
    const published = room.publish('hi', RETRY);
    const frame = (await peer.next('system', 'publish')) as Keyed;
    expect(frame.key).toMatch(UUID_7);
    expect(frame.data).toEqual({ roomName: 'lobby', data: 'hi', key: frame.key });
    peer.socket.terminate();
    const again = await server.peers.take();
    const second = (await again.next('system', 'publish')) as Keyed;
    expect(second.key).toBe(frame.key);
    again.reply(second, { success: true, data: { roomName: 'lobby' } });
    expect(await published).toEqual({ roomName: 'lobby' });
  });
});
