import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { ClusterNode } from '../support/cluster-node.js';
import { HistoryScene, startNode, startNodes } from '../support/history-scene.js';
import { hasRedis, TestRedis } from '../support/redis.js';

const drain = { spreadMs: 500, terminateAfterMs: 1_000 };

(hasRedis() ? describe : describe.skip)('three nodes under three publishers', () => {
  let redis: TestRedis;
  let nodes: ClusterNode[];
  let scene: HistoryScene | undefined;
  const start = () => ({ options: { redis: redis.url, drain } });
  beforeAll(async () => {
    redis = await TestRedis.start();
    nodes = await startNodes(3, start);
  });
  afterEach(() => scene?.stop());
  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await redis.stop();
  });

  it('lose nothing when each is replaced in turn (H3)', async () => {
    scene = await HistoryScene.on(nodes);
    for (const [index, old] of [...nodes].entries()) {
      const node = await startNode(start());
      nodes.splice(index, 1, node); // it listens before the old one is told
      scene.nodes.push(node);
      old.kill('SIGTERM');
      await old.exited;
      await scene.allSee();
    }
    const { report, wrong } = await scene.judge('rolling restart');
    expect(wrong).toEqual({});
    expect(report.resets).toBe(0);
    expect(report.recovered).toBeGreaterThanOrEqual(scene.members.length * scene.rooms.length);
  });

  it('lose nothing when one is killed: its clients resume on another (H1, H2, H3)', async () => {
    scene = await HistoryScene.on(nodes);
    const [victim] = nodes as [ClusterNode];
    victim.kill();
    await victim.exited;
    await scene.allSee();
    const { report, wrong } = await scene.judge('killed');
    expect(wrong).toEqual({});
    expect(report.resets).toBe(0);
    expect(report.recovered).toBeGreaterThan(0);
  });
});
