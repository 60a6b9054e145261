import { afterEach, describe, expect, it } from '@jest/globals';
import { HistoryScene, type HistorySetup } from '../support/history-scene.js';
import { type Fate, MessageLoss } from '../support/message-loss.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { TcpProxy } from '../support/tcp-proxy.js';

const describeWithRedis = hasRedis() ? describe : describe.skip;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describeWithRedis('rooms that keep what is published, under three publishers on three nodes', () => {
  let redis: TestRedis;
  let scene: HistoryScene;
  let proxies: TcpProxy[] = [];
  afterEach(async () => {
    redis.thaw();
    await scene.stop();
    await Promise.all(proxies.splice(0).map((proxy) => proxy.stop()));
    await redis.stop();
  });

  const start = async (setup: Partial<HistorySetup> = {}): Promise<void> => {
    redis = await TestRedis.start();
    const nodes = Array.from({ length: 3 }, () => ({ options: { redis: redis.url } }));
    scene = await HistoryScene.start({ nodes, ...setup });
  };

  it('tell clients nothing when subscriptions are killed every 500 ms (H2, H9)', async () => {
    await start();
    for (let n = 0; n < 8; n++) {
      await redis.run('CLIENT', 'KILL', 'TYPE', 'pubsub');
      await pause(500);
    }
    const { report, wrong } = await scene.judge('subscriptions killed');
    expect(wrong).toEqual({});
    expect(report).toMatchObject({ resets: 0, recovered: 0 });
  }, 60_000);

  it('are repaired when the bus loses, repeats and turns round messages (H2, H9)', async () => {
    redis = await TestRedis.start();
    let heard = 0;
    const fates: Fate[] = ['lose', 'twice', 'late', 'lose', 'lose'];
    const fateOf = (message: string): Fate =>
      message.includes('chat:') && ++heard % 7 === 0 ? (fates[(heard / 7) % fates.length] as Fate) : 'pass';
    proxies = await Promise.all(
      [0, 1, 2].map(() =>
        TcpProxy.start(redis.port, () => {
          const loss = new MessageLoss(fateOf);
          return (data) => loss.through(data);
        }),
      ),
    );
    scene = await HistoryScene.start({ nodes: proxies.map(({ url }) => ({ options: { redis: url } })) });
    await pause(3_000);
    const { report, wrong } = await scene.judge('a bus that loses');
    expect(wrong).toEqual({});
    expect(report).toMatchObject({ resets: 0, recovered: 0 });
    expect(heard).toBeGreaterThan(100);
  }, 60_000);

  it('go on where they were when Redis was frozen for 8 s (H1, H3, H8)', async () => {
    await start();
    redis.freeze();
    await pause(4_000);
    await Promise.all(scene.members.slice(0, 2).map((member) => member.cut()));
    await pause(4_000);
    redis.thaw();
    await scene.allSee();
    const { report, wrong } = await scene.judge('frozen');
    expect(wrong).toEqual({});
    expect(report.resets).toBe(0);
  }, 60_000);
});
