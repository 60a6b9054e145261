import { afterEach, describe, expect, it } from '@jest/globals';
import { HistoryScene } from '../support/history-scene.js';
import { freePort, hasRedis, TestRedis } from '../support/redis.js';
import { MASTER, Sentinel } from '../support/sentinel.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';

const describeWithRedis = hasRedis() ? describe : describe.skip;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describeWithRedis('members of rooms under three publishers, when Redis', () => {
  let stops: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0).toReversed()) await stop();
  });

  const start = async (): Promise<{ redis: TestRedis; scene: HistoryScene }> => {
    const redis = await TestRedis.start();
    stops.push(() => redis.stop());
    const scene = await HistoryScene.start({ nodes: [0, 1].map(() => ({ options: { redis: redis.url } })) });
    stops.push(() => scene.stop());
    return { redis, scene };
  };

  /** Everybody was told once for each room, and nobody falsely. */
  const judge = async (name: string, scene: HistoryScene): Promise<void> => {
    await scene.allSee();
    const { report, wrong } = await scene.judge(name);
    expect(wrong).toEqual({});
    expect(report.resets).toBe(scene.members.length * scene.rooms.length);
  };

  it('restarts empty, begin anew once (H1, H3)', async () => {
    const { redis, scene } = await start();
    await redis.kill();
    await pause(500);
    await redis.start();
    await judge('restarted empty', scene);
  }, 60_000);

  it('restarts from an older file, begin anew once, those that were away, too (H1, H3)', async () => {
    const { redis, scene } = await start();
    await redis.run('SAVE');
    await pause(500);
    await redis.kill({ forgets: false });
    await scene.members[0]?.cut();
    await redis.start();
    await judge('older file', scene);
  }, 60_000);

  it('is flushed, begin anew once (H1)', async () => {
    const { redis, scene } = await start();
    await redis.run('FLUSHALL');
    await judge('flushed', scene);
  }, 60_000);

  it('fails over to a replica that lacks the newest, begin anew once (H1, H3)', async () => {
    const master = await TestRedis.start(['--repl-diskless-sync-delay', '0']);
    stops.push(() => master.stop());
    const way = await TcpProxy.start(master.port);
    stops.push(() => way.stop());
    const replica = await TestRedis.start(['--replicaof', '127.0.0.1', String(way.port)]);
    stops.push(() => replica.stop());
    const sentinel = new Sentinel(await freePort());
    sentinel.start(master.port);
    stops.push(() => sentinel.stop());
    await until(async () => String(await sentinel.ask('replicas', MASTER)).includes(String(replica.port)), 15_000);
    const redis = { sentinels: [{ host: '127.0.0.1', port: sentinel.port }], name: MASTER };
    const scene = await HistoryScene.start({ nodes: [0, 1].map(() => ({ options: { redis } })) });
    stops.push(() => scene.stop());
    way.hold('both');
    await pause(300);
    way.cut();
    await master.kill();
    await scene.members[0]?.cut();
    await judge('failed over', scene);
  }, 60_000);
});
