import { afterEach, describe, expect, it } from '@jest/globals';
import type { PresenceRuleOptions, WebSocketOptions } from '../../lib/index.js';
import { startApp, type RunningApp } from '../support/app.js';
import { ClusterNode } from '../support/cluster-node.js';
import type { Frame, Peer } from '../support/peer.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { Stopwatch } from '../support/stopwatch.js';
import { until } from '../support/until.js';

const ROOM = 'chat:1';

let stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

async function redisOf(): Promise<TestRedis> {
  const redis = await TestRedis.start();
  stops.push(() => redis.stop());
  return redis;
}

const optionsOf = (
  redis: TestRedis,
  more: WebSocketOptions = {},
  rule: Partial<PresenceRuleOptions> = {},
): WebSocketOptions => ({
  redis: redis.url,
  presence: [{ match: 'chat:*', coalesceMs: 20, ...rule }],
  ...more,
});

async function node(
  redis: TestRedis,
  more?: WebSocketOptions,
  rule?: Partial<PresenceRuleOptions>,
): Promise<RunningApp> {
  const app = await startApp({ options: optionsOf(redis, more, rule) });
  stops.push(() => app.close());
  return app;
}

/** Two beats are 4 s. Whatever isn't back by then comes back only when somebody joins or leaves. */
const BACK_MS = 8_000;

const pushes = (peer: Peer): Frame[] =>
  peer.received.filter(({ type, action }) => type === 'system' && action === 'presence').map(({ data }) => data);
const left = (peer: Peer): string[] => pushes(peer).flatMap((push) => push.left ?? []);
const joined = (peer: Peer): string[] =>
  pushes(peer).flatMap((push) => (push.joined ?? []).map(({ userId }: Frame) => userId));
const total = async (app: RunningApp): Promise<number> => (await app.service.presence(ROOM)).total;

(hasRedis() ? describe : describe.skip)('presence when something ends', () => {
  it('P5: the users of a killed process are gone within 10 s, those of others stay', async () => {
    const redis = await redisOf();
    const app = await node(redis);
    const child = await ClusterNode.start(optionsOf(redis));
    stops.push(() => child.process.kill('SIGKILL'));
    const ada = await app.connect();
    await ada.join(ROOM, { presence: true });
    const lost = await child.join(ROOM, 'chat:alone');
    await until(() => joined(ada).includes(lost.clientId));
    const watch = new Stopwatch();
    child.process.kill('SIGKILL');
    await until(() => left(ada).includes(lost.clientId));
    expect(watch.ms).toBeLessThan(10_000);
    expect(left(ada)).toEqual([lost.clientId]);
    expect(await total(app)).toBe(1);
    await until(async () => (await app.service.presence('chat:alone')).total === 0);
  });

  it('P5: a process that stops raises nothing for users that are back before their grace ends', async () => {
    const redis = await redisOf();
    const auth: WebSocketOptions = {
      auth: {
        required: false,
        authenticate: ({ url = '' }: { url?: string }) => {
          const userId = new URL(url, 'ws://x').searchParams.get('userId');
          return userId === null ? null : { userId, payload: {} };
        },
      },
    };
    const [app, other] = [await node(redis, auth), await node(redis, auth)];
    const ada = await app.connect();
    await ada.join(ROOM, { presence: true });
    const bob = await other.connectTo(`${other.url}?userId=bob`);
    await bob.join(ROOM);
    await until(() => joined(ada).includes('bob'));
    await other.server.stop();
    expect(await total(app)).toBe(2);
    const back = await app.connectTo(`${app.url}?userId=bob`);
    await back.join(ROOM);
    // The connection that ended with its process is taken out by this one.
    await until(
      async () => (await app.service.presence(ROOM)).users.every(({ connections }) => connections === 1),
      15_000,
    );
    await ada.settle();
    expect([joined(ada), left(ada)]).toEqual([['bob'], []]);
  });

  it('P7: after FLUSHALL the truth is back within two beats, and nobody is told of leaves that weren’t', async () => {
    const redis = await redisOf();
    const apps = [await node(redis), await node(redis)] as const;
    const [ada, bob, cyn] = [await apps[0].connect(), await apps[1].connect(), await apps[1].connect()];
    for (const peer of [ada, bob, cyn]) await peer.join(ROOM, { presence: true, presenceData: { is: peer.clientId } });
    await until(() => joined(ada).length === 2);
    const before = await apps[0].service.presence(ROOM);
    await redis.run('FLUSHALL');
    await until(async () => (await total(apps[0])) === 3, BACK_MS);
    const after = await apps[0].service.presence(ROOM);
    const byId = (users: { userId: string }[]): object[] => users.toSorted((a, b) => (a.userId < b.userId ? -1 : 1));
    expect(byId(after.users)).toEqual(byId(before.users));
    await cyn.request('system', 'leaveRoom', { roomName: ROOM });
    await until(() => left(ada).includes(cyn.clientId));
    expect([joined(ada).length, left(ada)]).toEqual([2, [cyn.clientId]]);
    await until(async () => (await total(apps[1])) === 2);
  });

  it.each(['pm', 'pc', 'pu', 'pn'])('P7: so it is when Redis evicts %s', async (key) => {
    const redis = await redisOf();
    const app = await node(redis);
    const [ada, bob] = [await app.connect(), await app.connect()];
    for (const peer of [ada, bob]) await peer.join(ROOM, { presence: true });
    await until(() => joined(ada).length === 1);
    await redis.run('DEL', `pxl:{${ROOM}}:${key}`);
    await until(async () => (await total(app)) === 2 && (await redis.run('HLEN', `pxl:{${ROOM}}:pn`)) === 1, BACK_MS);
    await bob.request('system', 'leaveRoom', { roomName: ROOM });
    await until(() => left(ada).includes(bob.clientId));
    expect([joined(ada), left(ada)]).toEqual([[bob.clientId], [bob.clientId]]);
  });

  it.each([`{${ROOM}}:pm`, `{${ROOM}}:pc`, `{${ROOM}}:pu`, `{${ROOM}}:pn`, '{$presence}:nodes'])(
    'P7: so it is when another program overwrites %s, and it is reported once',
    async (name) => {
      const redis = await redisOf();
      const apps = [await node(redis), await node(redis)] as const;
      const [ada, bob] = [await apps[0].connect(), await apps[1].connect()];
      for (const peer of [ada, bob]) await peer.join(ROOM, { presence: true });
      await until(() => joined(ada).length === 1);
      await redis.run('SET', `pxl:${name}`, 'x');
      await until(async () => (await redis.run('TYPE', `pxl:${name}`)) !== 'string', BACK_MS);
      await until(
        async () => (await total(apps[0])) === 2 && (await redis.run('HLEN', `pxl:{${ROOM}}:pn`)) === 2,
        BACK_MS,
      );
      await bob.request('system', 'leaveRoom', { roomName: ROOM });
      await until(() => left(ada).includes(bob.clientId));
      expect([joined(ada), left(ada)]).toEqual([[bob.clientId], [bob.clientId]]);
      const reports = apps.flatMap(({ errors }) => errors.map(String));
      expect(reports.length).toBeLessThanOrEqual(2);
      expect(reports.join()).toContain(`"pxl:${name}"`);
    },
  );

  it('leaves nothing in Redis for ever, whenever its process is killed', async () => {
    const redis = await redisOf();
    const app = await node(redis);
    const ada = await app.connect();
    for (const room of [ROOM, 'chat:2']) await ada.join(room, { presence: true });
    await until(async () => (await app.service.presence('chat:2')).total === 1);
    const keys = ((await redis.run('KEYS', 'pxl:{*')) as string[]).filter((key) => /\$presence|:p[mcun]$/.test(key));
    expect(keys.length).toBe(10); // four of each room, the nodes, and the rooms of this one
    for (const key of keys) expect([key, Number(await redis.run('PTTL', key)) > 0]).toEqual([key, true]);
  });

  it('P7: the users of killed processes are gone though another program overwrote what says in which rooms they were', async () => {
    const redis = await redisOf();
    const app = await node(redis);
    const children = await Promise.all([1, 2].map(() => ClusterNode.start(optionsOf(redis))));
    stops.push(() => children.forEach((child) => child.kill()));
    const ada = await app.connect();
    await ada.join(ROOM, { presence: true });
    const lost = await Promise.all(children.map((child) => child.join(ROOM)));
    await until(() => lost.every(({ clientId }) => joined(ada).includes(clientId)));
    for (const child of children) child.kill();
    for (const key of (await redis.run('KEYS', 'pxl:{$presence}:rooms:*')) as string[])
      await redis.run('SET', key, 'x');
    await until(() => lost.every(({ clientId }) => left(ada).includes(clientId)), 25_000);
    expect(await total(app)).toBe(1);
    expect(app.errors.map(String).filter((text) => text.includes('WRONGTYPE'))).toEqual([]);
  });

  it('says at the start that losses go unnoticed where INFO is refused, and works', async () => {
    const redis = await redisOf();
    await redis.run('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all', '-info');
    const app = await node(redis, { redis: redis.asApp });
    expect(app.errors.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^Redis refuses INFO to this user, .* lost who is in a room/),
    ]);
    await (await app.connect()).join(ROOM, { presence: true });
    await until(async () => (await total(app)) === 1);
  });

  it('asks Redis once for many rooms in a beat, and never for each other node', async () => {
    const redis = await redisOf();
    const [app, other] = [await node(redis), await node(redis)];
    const rooms = Array.from({ length: 100 }, (_, at) => `chat:${at}`);
    for (const peer of [await app.connect(), await other.connect()]) for (const room of rooms) await peer.join(room);
    const calls = async (): Promise<number> => {
      const stats = String(await redis.run('INFO', 'commandstats'));
      return [...stats.matchAll(/cmdstat_(?:evalsha|zscore|zmscore|hkeys):calls=(\d+)/g)].reduce(
        (sum, [, count]) => sum + Number(count),
        0,
      );
    };
    await until(async () => (await app.service.presence('chat:99')).total === 2);
    const before = await calls();
    await new Promise((resolve) => setTimeout(resolve, 6_000)); // three beats of each
    expect((await calls()) - before).toBeLessThan(60);
    expect((await app.service.presence('chat:0')).total).toBe(2);
  });

  it('P9: a process without members that listen hears nothing of it', async () => {
    const redis = await redisOf();
    const [app, other] = [await node(redis, { registry: 'local' }), await node(redis, { registry: 'local' })];
    const ada = await app.connect();
    await ada.join(ROOM, { presence: true });
    const channels = async (): Promise<string[]> => (await redis.run('PUBSUB', 'CHANNELS', '*chat:1*')) as string[];
    const subscribers = async (channel: string): Promise<unknown> =>
      ((await redis.run('PUBSUB', 'NUMSUB', channel)) as unknown[])[1];
    for (const channel of await channels()) expect(await subscribers(channel)).toBe(1);
    expect(await channels()).toHaveLength(2); // the room, and who is in it
    expect(await redis.run('PUBSUB', 'CHANNELS', '*people*')).toEqual([]);
    const silent = await other.connect();
    await silent.join(ROOM);
    await until(() => joined(ada).length === 1);
    expect(await subscribers(`pxl:$log:{${ROOM}}`)).toBe(1);
  });
});
