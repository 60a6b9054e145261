import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { ClusterNode } from '../support/cluster-node.js';
import { HistoryScene, startNodes } from '../support/history-scene.js';
import { type Fate, MessageLoss } from '../support/message-loss.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { TcpProxy } from '../support/tcp-proxy.js';

const FATES: Fate[] = ['lose', 'twice', 'late', 'lose', 'lose'];
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

(hasRedis() ? describe : describe.skip)('rooms with history, under three publishers on three nodes', () => {
  let redis: TestRedis;
  let proxy: TcpProxy;
  let nodes: ClusterNode[];
  let scene: HistoryScene | undefined;
  let isLossy = false;
  let heard = 0;
  /** Of every seven messages for such a room something becomes of one. */
  const fateOf = (message: string): Fate =>
    isLossy && message.includes('chat:') && ++heard % 7 === 0 ? (FATES[(heard / 7) % FATES.length] as Fate) : 'pass';
  beforeAll(async () => {
    redis = await TestRedis.start();
    proxy = await TcpProxy.start(redis.port, () => {
      const loss = new MessageLoss(fateOf);
      return (data) => loss.through(data);
    });
    nodes = await startNodes(3, () => ({ options: { redis: proxy.url } }));
  });
  afterEach(() => {
    isLossy = false;
    redis.thaw();
    scene?.stop();
  });
  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await proxy.stop();
    await redis.stop();
  });

  it('tell clients nothing when subscriptions are killed every 500 ms (H2, H9)', async () => {
    scene = await HistoryScene.on(nodes);
    for (let n = 0; n < 6; n++) {
      await redis.run('CLIENT', 'KILL', 'TYPE', 'pubsub');
      await pause(500);
    }
    const { report, wrong } = await scene.judge('subscriptions killed');
    expect(wrong).toEqual({});
    expect(report).toMatchObject({ resets: 0, recovered: 0 });
  });

  it('are repaired when the bus loses, repeats and turns round messages (H2, H9)', async () => {
    scene = await HistoryScene.on(nodes);
    isLossy = true;
    await pause(2_000);
    const { report, wrong } = await scene.judge('a bus that loses');
    expect(wrong).toEqual({});
    expect(report).toMatchObject({ resets: 0, recovered: 0 });
    expect(heard).toBeGreaterThan(100);
  });

  it('go on where they were when Redis was frozen for 8 s (H1, H3, H8)', async () => {
    scene = await HistoryScene.on(nodes);
    redis.freeze();
    await pause(4_000);
    await Promise.all(scene.members.slice(0, 2).map((member) => member.cut()));
    await pause(4_000);
    redis.thaw();
    await scene.allSee();
    const { report, wrong } = await scene.judge('frozen');
    expect(wrong).toEqual({});
    expect(report.resets).toBe(0);
  });
});
