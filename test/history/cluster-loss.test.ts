import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { ClusterNode } from '../support/cluster-node.js';
import { HistoryScene, startNodes } from '../support/history-scene.js';
import { hasRedis, moveSlot, ownerOf, startRedisCluster, type TestRedis } from '../support/redis.js';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

(hasRedis() ? describe : describe.skip)('rooms with history, on a Redis Cluster under three publishers', () => {
  let servers: Awaited<ReturnType<typeof startRedisCluster>>;
  let nodes: ClusterNode[];
  let scene: HistoryScene | undefined;
  /** A room on each master. */
  let rooms: string[];
  beforeAll(async () => {
    servers = await startRedisCluster({ hasReplicas: true });
    rooms = [];
    for (let n = 0; rooms.filter(Boolean).length < 3; n++) {
      const room = `chat:${n}`;
      rooms[await ownerOf(servers.nodes, `{${room}}`)] ??= room;
    }
    const clusterPorts = servers.nodes.map(({ port }) => port);
    nodes = await startNodes(2, () => ({ options: {}, more: { clusterPorts } }));
  });
  afterEach(() => scene?.stop());
  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await servers.stop();
  });

  it('reset the room whose slot moved, once, and no other (H1, H3)', async () => {
    scene = await HistoryScene.on(nodes, { rooms });
    const [room = ''] = rooms;
    await moveSlot(servers.nodes, `{${room}}`);
    await scene.allSee();
    await pause(1_500);
    const { report, wrong } = await scene.judge('moved');
    expect(wrong).toEqual({});
    expect(report.resets).toBe(scene.members.length);
  });

  it('reset the rooms of a master whose replica took over, once, and no other (H1, H3)', async () => {
    scene = await HistoryScene.on(nodes, { rooms });
    await (servers.nodes[2] as TestRedis).kill();
    await scene.members[0]?.cut();
    await scene.allSee();
    const { report, wrong } = await scene.judge('promoted');
    expect(wrong).toEqual({});
    expect(report.resets).toBe(scene.members.length);
  });
});
