import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { ClusterNode } from '../support/cluster-node.js';
import { HistoryScene, startNodes } from '../support/history-scene.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { SentinelPair } from '../support/sentinel.js';

const describeWithRedis = hasRedis() ? describe : describe.skip;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Everybody was told once for each room, and nobody falsely. */
async function judge(name: string, scene: HistoryScene): Promise<void> {
  await scene.allSee();
  const { report, wrong } = await scene.judge(name);
  expect(wrong).toEqual({});
  expect(report.resets).toBe(scene.members.length * scene.rooms.length);
}

describeWithRedis('members of rooms under three publishers, when Redis', () => {
  let redis: TestRedis;
  let nodes: ClusterNode[];
  let scene: HistoryScene | undefined;
  beforeAll(async () => {
    redis = await TestRedis.start();
    nodes = await startNodes(2, () => ({ options: { redis: redis.url } }));
  });
  afterEach(() => scene?.stop());
  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await redis.stop();
  });

  it('is flushed, begin anew once (H1)', async () => {
    scene = await HistoryScene.on(nodes);
    await redis.run('FLUSHALL');
    await judge('flushed', scene);
  });

  it('restarts empty, begin anew once (H1, H3)', async () => {
    scene = await HistoryScene.on(nodes);
    await redis.kill();
    await pause(500);
    await redis.start();
    await judge('restarted empty', scene);
  });

  it('restarts from an older file, begin anew once, those that were away, too (H1, H3)', async () => {
    scene = await HistoryScene.on(nodes);
    await redis.run('SAVE');
    await pause(500);
    await redis.kill({ forgets: false });
    await scene.members[0]?.cut();
    await redis.start();
    await judge('older file', scene);
  });
});

describeWithRedis('members of rooms under three publishers, when Sentinel', () => {
  const stops: (() => unknown)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0).toReversed()) await stop();
  });

  it('promotes a replica that lacks the newest, begin anew once (H1, H3)', async () => {
    const pair = await SentinelPair.start();
    stops.push(() => pair.stop());
    const { redis } = pair;
    const nodes = await startNodes(2, () => ({ options: { redis } }));
    stops.push(() => Promise.all(nodes.map((node) => node.stop())));
    const scene = await HistoryScene.on(nodes);
    stops.push(() => scene.stop());
    await pair.deafen();
    await pause(300);
    await pair.master.kill();
    await scene.members[0]?.cut();
    await judge('failed over', scene);
  });
});
