import { afterEach, describe, expect, it } from '@jest/globals';
import type { ClusterNode } from '../support/cluster-node.js';
import { HistoryScene } from '../support/history-scene.js';
import { hasRedis, TestRedis } from '../support/redis.js';

const describeWithRedis = hasRedis() ? describe : describe.skip;
const drain = { spreadMs: 500, terminateAfterMs: 1_000 };
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describeWithRedis('three nodes under three publishers', () => {
  let redis: TestRedis;
  let scene: HistoryScene;
  afterEach(async () => {
    await scene.stop();
    await redis.stop();
  });

  const start = async (): Promise<void> => {
    redis = await TestRedis.start();
    const nodes = Array.from({ length: 3 }, () => ({ options: { redis: redis.url, drain } }));
    scene = await HistoryScene.start({ nodes });
  };

  it('lose nothing when one is killed: its clients resume on another (H1, H2, H3)', async () => {
    await start();
    const [victim] = scene.nodes as [ClusterNode];
    victim.kill();
    await victim.exited;
    await scene.allSee();
    await pause(500);
    const { report, wrong } = await scene.judge('killed');
    expect(wrong).toEqual({});
    expect(report.resets).toBe(0);
    expect(report.recovered).toBeGreaterThan(0);
  }, 60_000);

  it('lose nothing when each is replaced in turn (H3)', async () => {
    await start();
    const olds = scene.nodes.slice();
    for (const old of olds) {
      await scene.startNode(0);
      old.kill('SIGTERM');
      await old.exited;
      await scene.allSee();
    }
    const { report, wrong } = await scene.judge('rolling restart');
    expect(wrong).toEqual({});
    expect(report.resets).toBe(0);
    expect(report.recovered).toBeGreaterThanOrEqual(scene.members.length * 2);
  }, 60_000);
});
