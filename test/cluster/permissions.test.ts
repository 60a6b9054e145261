import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Cluster } from 'ioredis';
import { type RunningApp, startApp } from '../support/app.js';
import { hasRedis, startRedisCluster, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

/** The rules as docs/redis.md gives them. */
const page = readFileSync(new URL('../../docs/redis.md', import.meta.url), 'utf8');
const [, line = ''] = /^ACL SETUSER (.*)$/m.exec(page) ?? [];
const [, more = ''] = /^A Cluster also needs `([^`]*)`/m.exec(page) ?? [];

/** All that nodes do to Redis, and nothing of it is refused. */
async function liveOn(start: () => Promise<RunningApp>, prefix: string, run: TestRedis['run']): Promise<void> {
  const [one, two] = [await start(), await start()];
  const [ada, bob] = [await one.connectTo(`${one.url}?userId=7`), await two.connect()];
  await ada.join('red');
  await bob.join('red');
  await two.service.sendToRooms(['red'], { type: 'news', action: 'room' });
  await ada.next('news', 'room');
  await two.service.sendToUsers(['7'], { type: 'news', action: 'user' });
  await ada.next('news', 'user');
  await two.service.sendToClients([ada.clientId], { type: 'news', action: 'client' });
  await ada.next('news', 'client');
  await two.service.broadcast({ type: 'news', action: 'all' });
  await ada.next('news', 'all');
  await bob.request('system', 'leaveRoom', { roomName: 'red' });
  const { nodeId } = one.server.status;
  await run('DEL', `${prefix}:nodes`);
  await run('SET', `${prefix}:{${nodeId}}:lease`, 'dead'); // it takes a new id
  await until(() => one.server.status.nodeId !== nodeId);
  const late = await start();
  await until(() => late.clients.size === 2);
  expect((await late.server.fetchClients()).missing).toEqual([]);
  const everybody = [one, two, late];
  await late.close();
  expect(everybody.flatMap(({ errors }) => errors.map(String))).toEqual([]);
}

(hasRedis() ? describe : describe.skip)('a user with the permissions that the page gives', () => {
  let redis: TestRedis;
  const apps: RunningApp[] = [];
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(() => redis.stop());
  const startOn = async (options: object): Promise<RunningApp> => {
    const auth = {
      required: false,
      authenticate: ({ url = '' }: { url?: string }) => {
        const userId = new URL(url, 'ws://here').searchParams.get('userId');
        return userId === null ? null : { userId, payload: {} };
      },
    };
    const app = await startApp({ options: { auth, ...options } });
    apps.push(app);
    return app;
  };

  it('has all it needs on one Redis', async () => {
    await redis.run('ACL', 'SETUSER', ...line.split(' '));
    const url = redis.url.replace('//', '//app:secret@');
    try {
      await liveOn(
        () => startOn({ redis: url }),
        'pxl',
        (...words) => redis.run(...words),
      );
    } finally {
      for (const app of apps.splice(0)) await app.close();
    }
  });

  it.each(['hget', 'hlen', 'hdel', 'srem', 'eval', 'evalsha'])(
    'ends the start without %s, which only a later beat would need, and names the rule',
    async (command) => {
      await redis.run('ACL', 'SETUSER', ...line.split(' '), `-${command}`);
      const url = redis.url.replace('//', '//app:secret@');
      try {
        await expect(startOn({ redis: url })).rejects.toThrow(`Add the rule "+${command}" to its ACL`);
      } finally {
        for (const app of apps.splice(0)) await app.close();
      }
    },
  );

  it('whose password changes is reported beside the rest', async () => {
    await redis.run('ACL', 'SETUSER', 'limited', 'on', '>secret', '~*', '&*', '+@all');
    try {
      const app = await startOn({ redis: redis.url.replace('//', '//limited:secret@') });
      await redis.run('ACL', 'SETUSER', 'limited', 'resetpass', '>other');
      await redis.run('CLIENT', 'KILL', 'USER', 'limited');
      await until(() => app.errors.some(({ message }) => message.includes('WRONGPASS')));
      expect(app.errors.map(String)).toContain('ConnectionError: The connection to Redis was closed.');
    } finally {
      for (const app of apps.splice(0)) await app.close();
    }
  });

  it('that may publish no more is down within 7 s, and ready when it may, on the same connections', async () => {
    await redis.run('ACL', 'SETUSER', 'limited', 'on', 'resetpass', '>secret', '~*', '&*', '+@all');
    const app = await startOn({ redis: redis.url.replace('//', '//limited:secret@') });
    const connections = async (): Promise<string[]> =>
      String(await redis.run('CLIENT', 'LIST')).match(/id=\d+(?= .*name=pxl-)/g) ?? [];
    const before = await connections();
    try {
      await redis.run('ACL', 'SETUSER', 'limited', '-publish');
      await until(() => app.server.status.state === 'down', 10_000);
      expect(app.server.status.away).toEqual(['redis']);
      await expect(app.service.publish('x', 1)).rejects.toThrow('NOPERM');
      await redis.run('ACL', 'SETUSER', 'limited', '+publish');
      await until(() => app.server.status.state === 'ready');
      await app.service.publish('x', 2);
      expect(await connections()).toEqual(before);
      expect(app.errors.map(String).join()).toContain('Add the rule "+publish"');
    } finally {
      for (const running of apps.splice(0)) await running.close();
    }
  });

  it('has all it needs in another database', async () => {
    await redis.run('ACL', 'SETUSER', ...line.split(' '), '+select', '&pxl@3:*');
    const url = `${redis.url.replace('//', '//app:secret@')}/3`;
    try {
      const app = await startOn({ redis: url });
      const ada = await app.connect();
      await ada.join('red');
      expect(app.errors.map(String)).toEqual([]);
    } finally {
      for (const app of apps.splice(0)) await app.close();
    }
  });

  it('has all it needs on a Redis Cluster', async () => {
    const cluster = await startRedisCluster();
    try {
      for (const node of cluster.nodes) await node.run('ACL', 'SETUSER', ...line.split(' '), ...more.split(' '));
      const start = (): Promise<RunningApp> => {
        const source = new Cluster(
          cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port })),
          { lazyConnect: true, redisOptions: { username: 'app', password: 'secret' } },
        );
        source.on('error', () => undefined);
        return startOn({ redis: source });
      };
      const run: TestRedis['run'] = async (command, key, ...rest) => {
        const slot = Number(await cluster.nodes[0]?.run('CLUSTER', 'KEYSLOT', String(key)));
        return cluster.nodes[slot < 5_461 ? 0 : slot < 10_923 ? 1 : 2]?.run(command, String(key), ...rest);
      };
      await liveOn(start, 'pxl', run);
    } finally {
      for (const app of apps.splice(0)) await app.close();
      await cluster.stop();
    }
  });
});
