import { createHash } from 'node:crypto';
import { afterEach, describe, expect, it } from '@jest/globals';
import { ConnectedClient, type WebSocketOptions, WsGateway, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Frame, Peer } from '../support/peer.js';
import { told } from '../support/presence-observer.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const ROOM = 'chat:1';
const SESSION = 'a-session-of-a-client';
const OTHER = 'another-session-of-a-client';
const PUBLIC_ID = /^~[\w-]{22}$/;

@WsGateway('who')
class Who {
  @WsRoute('am-i')
  amI(@ConnectedClient() { presenceId }: ConnectedClient): unknown {
    return presenceId;
  }
}

let stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

interface Ground {
  nodes: RunningApp[];
  first: RunningApp;
  last: RunningApp;
  /** What subscribers of the first node heard, as `+id` and `-id`. */
  events: string[];
}

/** Users are who `?userId=` says; without it, a connection is anonymous. */
async function startGround(kind: string, more: WebSocketOptions = {}, graceMs = 400): Promise<Ground> {
  const redis = kind === 'one process' ? undefined : await TestRedis.start();
  if (redis) stops.push(() => redis.stop());
  const events: string[] = [];
  const nodes: RunningApp[] = [];
  for (let n = 0; n < (redis ? 2 : 1); n++) {
    const options: WebSocketOptions = {
      auth: {
        required: false,
        authenticate: ({ url = '' }) => {
          const userId = new URL(url, 'ws://x').searchParams.get('userId');
          return userId === null ? null : { userId, payload: {} };
        },
      },
      presence: [{ match: 'chat:*', graceMs, coalesceMs: 20 }],
      ...more,
      ...(redis && { redis: redis.url }),
      subscriberEventHandler: ({ channel, message }) => {
        const { userId } = message as { userId: string };
        if (n === 0 && channel === 'WebSocket:UserJoined') events.push(`+${userId}`);
        if (n === 0 && channel === 'WebSocket:UserLeft') events.push(`-${userId}`);
      },
    };
    const app = await startApp({ options, providers: [Who] });
    stops.push(() => app.close());
    nodes.push(app);
  }
  return { nodes, first: nodes[0] as RunningApp, last: nodes.at(-1) as RunningApp, events };
}

async function connect(node: RunningApp, session?: string, userId?: string): Promise<Peer> {
  const query = userId === undefined ? '' : `?userId=${encodeURIComponent(userId)}`;
  const peer = await node.connectTo(`${node.url}${query}`);
  if (session !== undefined) peer.send('system', 'session', { session });
  return peer;
}

/** @returns the member, and what the reply to its join says about presence */
async function join(node: RunningApp, session?: string, userId?: string): Promise<{ peer: Peer; seen: Frame }> {
  const peer = await connect(node, session, userId);
  return { peer, seen: (await peer.join(ROOM, { presence: true })).response.data.presence };
}

const present = async (node: RunningApp): Promise<Record<string, number>> =>
  Object.fromEntries((await node.service.presence(ROOM)).users.map(({ userId, connections }) => [userId, connections]));

describe.each(hasRedis() ? ['one process', 'two nodes on Redis'] : ['one process'])(
  'an anonymous person in %s',
  (kind) => {
    it('P3: is the same after a reconnect within the grace, also to another node', async () => {
      const { first, last, events } = await startGround(kind, {}, 2_000);
      const { peer: ada } = await join(first, undefined, 'ada');
      const { peer: page, seen } = await join(first, SESSION);
      expect(seen.ownId).toMatch(PUBLIC_ID);
      await until(() => told(ada).length === 1);
      page.terminate();
      const { peer: back, seen: again } = await join(last, SESSION);
      expect(again.ownId).toBe(seen.ownId);
      // The connection that ended goes after its grace, and nobody hears of it.
      await until(async () => (await present(first))[seen.ownId] === 1);
      await ada.settle();
      expect(told(ada)).toEqual([`+${seen.ownId}`]);
      back.terminate();
      await until(() => told(ada).length === 2);
      await until(() => events.length === 3);
      expect(events).toEqual(['+ada', `+${seen.ownId}`, `-${seen.ownId}`]);
    });

    it('is one with two connections of one session, and two with two sessions', async () => {
      const { first, last } = await startGround(kind);
      const { seen } = await join(first, SESSION);
      const { seen: twin } = await join(last, SESSION);
      const { seen: other } = await join(last, OTHER);
      expect(twin.ownId).toBe(seen.ownId);
      expect(other.ownId).not.toBe(seen.ownId);
      await until(async () => Object.keys(await present(first)).length === 2);
      expect(await present(last)).toEqual({ [seen.ownId]: 2, [other.ownId]: 1 });
    });

    it('P11: is nobody who only knows its public id', async () => {
      const { first, last } = await startGround(kind);
      const { peer, seen } = await join(first, SESSION);
      const id: string = seen.ownId;
      const stranger = await connect(last);
      expect((await stranger.request('system', 'session', { session: id })).data.code).toBe('BAD_REQUEST');
      const { seen: guess } = await join(last, id.slice(1));
      const { seen: namesake } = await join(last, undefined, id);
      await until(async () => Object.keys(await present(first)).length === 3);
      expect(guess.ownId).not.toBe(id);
      expect(await present(first)).toEqual({ [id]: 1, [guess.ownId]: 1, [`~${id}`]: 1 });
      expect(namesake.users.map(({ userId }: Frame) => userId)).toContain(`~${id}`);
      await first.service.disconnectUser(id);
      await until(async () => !(`~${id}` in (await present(first))));
      expect(Object.keys(await present(first))).toContain(id);
      await peer.settle();
    });

    it('P11: is shown by its public id alone: neither its session nor what the server makes of it goes out', async () => {
      const { first, last } = await startGround(kind);
      const { peer: ada } = await join(first, undefined, 'ada');
      const { peer, seen } = await join(last, SESSION);
      await until(() => told(ada).length === 1);
      await peer.request('system', 'updatePresence', { roomName: ROOM, data: 'here' });
      await until(() => ada.received.some(({ data }) => data?.updated?.[0]?.userId === seen.ownId));
      const inside = createHash('sha256').update(`\n${SESSION}`).digest('base64url').slice(0, 22);
      for (const text of [JSON.stringify(ada.received), JSON.stringify(seen), JSON.stringify(peer.received)])
        for (const secret of [SESSION, inside]) expect(text).not.toContain(secret);
    });

    it('is another one than the user of the same session, whichever came first', async () => {
      const { first, last } = await startGround(kind);
      const { seen: before } = await join(first, SESSION);
      const { seen: user } = await join(last, SESSION, 'ada');
      const { seen: after } = await join(last, SESSION);
      expect([user.ownId, after.ownId]).toEqual(['ada', before.ownId]);
      await until(async () => (await present(first))[before.ownId] === 2);
      expect(await present(first)).toEqual({ ada: 1, [before.ownId]: 2 });
    });

    it('without a session is its connection, and sees the frames of before', async () => {
      const { first, last } = await startGround(kind);
      const { peer, seen } = await join(first);
      expect(Object.keys(seen).toSorted()).toEqual(['epoch', 'total', 'users', 'version']);
      expect(seen.users).toEqual([{ userId: peer.clientId, data: null, connections: 1 }]);
      const { seen: byUser } = await join(last, undefined, 'ada');
      expect(Object.keys(byUser).toSorted()).toEqual(['epoch', 'total', 'users', 'version']);
    });

    it('that names its session late changes who it is, in all of its rooms', async () => {
      const { first, last } = await startGround(kind, {}, 0);
      const { peer: ada } = await join(first, undefined, 'ada');
      const { peer } = await join(last);
      await until(() => told(ada).length === 1);
      await peer.request('system', 'session', { session: SESSION });
      await until(() => told(ada).length === 3);
      const { response } = await peer.join(ROOM, { presence: true });
      const { ownId, users } = response.data.presence as { ownId: string; users: { userId: string }[] };
      expect(ownId).toMatch(PUBLIC_ID);
      expect(users.map(({ userId }) => userId).toSorted()).toEqual(['ada', ownId].toSorted());
      expect(told(ada).toSorted()).toEqual([`+${peer.clientId}`, `-${peer.clientId}`, `+${ownId}`].toSorted());
      await peer.request('system', 'session', { session: OTHER }); // the first one counts
      await peer.settle();
      expect(Object.keys(await present(first)).toSorted()).toEqual(['ada', ownId].toSorted());
    });
  },
);

describe('client.presenceId', () => {
  it('is the id under which others see it: for handlers and for authorizePresence', async () => {
    const asked: unknown[] = [];
    const { first } = await startGround('one process', {
      rooms: { authorizePresence: ({ client }) => asked.push(client.presenceId) > 0 },
    });
    const [page, raw, ada] = [
      await connect(first, SESSION),
      await connect(first),
      await connect(first, SESSION, 'ada'),
    ];
    for (const peer of [page, raw, ada]) await peer.join(ROOM, { presence: 'count', presenceData: 1 });
    const said: unknown[] = [];
    for (const peer of [page, raw, ada]) said.push((await peer.request('who', 'am-i')).response);
    expect(said).toEqual([expect.stringMatching(PUBLIC_ID), raw.clientId, 'ada']);
    expect(asked).toEqual(said);
    expect(Object.keys(await present(first)).toSorted()).toEqual([...(said as string[])].toSorted());
  });

  it.each(hasRedis() ? ['two nodes on Redis'] : [])('is known on its own node only, on %s', async (kind) => {
    const { first, last } = await startGround(kind);
    const { peer, seen } = await join(last, SESSION);
    await until(() => first.clients.getClient(peer) !== undefined);
    expect(last.clients.getClient(peer)?.presenceId).toBe(seen.ownId);
    expect(first.clients.getClient(peer)?.presenceId).toBeUndefined();
    expect(JSON.stringify(last.clients.getClient(peer))).not.toContain(seen.ownId);
  });
});
