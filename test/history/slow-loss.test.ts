import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ClusterNode } from '../support/cluster-node.js';
import { HistoryScene, startNodes } from '../support/history-scene.js';
import { hasRedis, TestRedis } from '../support/redis.js';

const MIB = 1_048_576;
/** Each round, one member of each node reads nothing for so long. */
const STALLS_MS = [300, 1_500, 50, 2_500];

(hasRedis() ? describe : describe.skip)('members that stop reading under three publishers', () => {
  let redis: TestRedis;
  let nodes: ClusterNode[] = [];
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await redis.stop();
  });

  it('H3, H11: are closed, come back and lose nothing; those that only lag a little aren’t closed', async () => {
    const backpressure = { maxBufferedBytes: 262_144 };
    const rule = { size: 50_000, maxBytes: 256 * MIB, recoverMax: 50_000 };
    nodes = await startNodes(2, () => ({ options: { redis: redis.url, backpressure }, rule }));
    const scene = await HistoryScene.on(nodes, { padding: 8_192 });
    try {
      const closes = (): number[] => scene.members.flatMap((member) => member.closed);
      const stall = async (round: number, ms: number): Promise<void> => {
        const stalled = scene.members.slice(round % 2, (round % 2) + 2);
        await Promise.all(stalled.map((member) => member.stall(ms)));
        await scene.allSee();
      };
      for (const [round, ms] of STALLS_MS.entries()) await stall(round, ms);
      // On a busy machine too little may have been published meanwhile for anybody to be closed.
      for (let round = 0; !closes().includes(4113) && round < 10; round++) await stall(round, 5_000);
      const { report, wrong } = await scene.judge('stalled');
      expect(wrong).toEqual({});
      expect(report.resets).toBe(0);
      const closed = closes();
      expect(closed).toContain(4113);
      expect(report.recovered).toBeGreaterThan(0);
      expect(closed.length).toBeLessThan(2 * STALLS_MS.length); // not the short ones
    } finally {
      scene.stop();
    }
  });
});
