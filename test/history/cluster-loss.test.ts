import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { HistoryScene } from '../support/history-scene.js';
import { hasRedis, moveSlot, ownerOf, startRedisCluster, type TestRedis } from '../support/redis.js';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

(hasRedis() ? describe : describe.skip)(
  'rooms that keep what is published, on a Redis Cluster under three publishers',
  () => {
    let servers: Awaited<ReturnType<typeof startRedisCluster>>;
    let scene: HistoryScene;
    /** A room on each master. */
    let rooms: string[];
    beforeAll(async () => {
      servers = await startRedisCluster({ hasReplicas: true });
      rooms = [];
      for (let n = 0; rooms.filter(Boolean).length < 3; n++) {
        const room = `chat:${n}`;
        rooms[await ownerOf(servers.nodes, `{${room}}`)] ??= room;
      }
    }, 60_000);
    afterEach(() => scene.stop());
    afterAll(() => servers.stop());

    const start = async (): Promise<void> => {
      const clusterPorts = servers.nodes.map(({ port }) => port);
      scene = await HistoryScene.start({ nodes: [0, 1].map(() => ({ options: {}, more: { clusterPorts } })), rooms });
    };

    it('reset the room whose slot moved, once, and no other (H1, H3)', async () => {
      await start();
      const [room = ''] = rooms;
      await moveSlot(servers.nodes, `{${room}}`);
      await scene.allSee();
      await pause(1_500);
      const { report, wrong } = await scene.judge('moved');
      expect(wrong).toEqual({});
      expect(report.resets).toBe(scene.members.length);
    }, 60_000);

    it('reset the rooms of a master whose replica took over, once, and no other (H1, H3)', async () => {
      await start();
      await (servers.nodes[2] as TestRedis).kill();
      await scene.members[0]?.cut();
      await scene.allSee();
      const { report, wrong } = await scene.judge('promoted');
      expect(wrong).toEqual({});
      expect(report.resets).toBe(scene.members.length);
    }, 60_000);
  },
);
