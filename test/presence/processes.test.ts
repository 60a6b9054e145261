import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { ClusterNode } from '../support/cluster-node.js';
import { presenceOptions, PresenceScene } from '../support/presence-scene.js';
import { hasRedis, moveSlot, ownerOf, startRedisCluster, TestRedis } from '../support/redis.js';
import { SentinelPair } from '../support/sentinel.js';
import { Stopwatch } from '../support/stopwatch.js';
import { until } from '../support/until.js';

const ROOM = 'chat:1';
const describeWithRedis = hasRedis() ? describe : describe.skip;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

let scene: PresenceScene | undefined;
afterEach(() => {
  scene?.stop();
  scene = undefined;
});

/** What subscribers of a node heard of one user. */
async function eventsOf(node: ClusterNode, userId: string): Promise<string[]> {
  const heard = await node.call('heard');
  return heard
    .filter(({ channel }) => channel.startsWith('WebSocket:User'))
    .filter(({ message }) => (message as { userId?: string }).userId === userId)
    .map(({ channel }) => channel.replace('WebSocket:User', ''));
}

describeWithRedis('presence in three processes', () => {
  let redis: TestRedis;
  let nodes: ClusterNode[];
  const start = (): Promise<ClusterNode> => ClusterNode.start(presenceOptions({ redis: redis.url }));
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  beforeEach(async () => void (nodes = await Promise.all([start(), start(), start()])), 30_000);
  afterEach(() => Promise.all(nodes.map((node) => node.stop())));
  afterAll(() => redis.stop());

  it('P3, P5: after SIGKILL, who comes back elsewhere was never gone, and the others are gone within 10 s', async () => {
    const [one, two, three] = nodes as [ClusterNode, ClusterNode, ClusterNode];
    scene = await PresenceScene.on(nodes, 'killed');
    await scene.enter(two, 'comes-back');
    await scene.enter(two, 'stays-away');
    await until(async () => (await eventsOf(three, 'stays-away')).length === 1);
    two.kill();
    const watch = new Stopwatch();
    scene.lost(two);
    await scene.enter(three, 'comes-back');
    await until(async () => (await eventsOf(three, 'stays-away')).length === 2);
    expect(watch.ms).toBeLessThan(10_000);
    expect(await scene.judge()).toEqual([]);
    for (const { left, joined } of scene.watchers) {
      expect(left.filter((userId) => userId === 'stays-away')).toHaveLength(1);
      expect([...left, ...joined].filter((userId) => userId === 'comes-back').length).toBeLessThanOrEqual(1);
      expect(left).not.toContain('comes-back');
    }
    for (const node of [one, three]) {
      expect(await eventsOf(node, 'stays-away')).toEqual(['Joined', 'Left']);
      expect(await eventsOf(node, 'comes-back')).toEqual(['Joined']);
    }
  });

  it('P3, P5: a rolling restart raises nothing for users that come back at once', async () => {
    const [one, two, three] = nodes as [ClusterNode, ClusterNode, ClusterNode];
    scene = await PresenceScene.on([one], 'rolling');
    const told = (): number => (scene?.watchers[0]?.joined.length ?? 0) + (scene?.watchers[0]?.left.length ?? 0);
    const users = ['ada', 'bob', 'cyn'];
    let [serving, spare] = [two, three];
    for (const userId of users) await scene.enter(serving, userId);
    await until(async () => (await eventsOf(one, 'cyn')).length === 1);
    for (let round = 0; round < 3; round++) {
      scene.lost(serving);
      const closed = serving.call('close').catch(() => undefined);
      for (const userId of users) await scene.enter(spare, userId);
      await closed;
      serving.kill('SIGTERM');
      await serving.exited;
      [serving, spare] = [spare, await start()];
      nodes.push(spare);
    }
    expect(await scene.judge()).toEqual([]);
    expect(told()).toBeGreaterThan(0); // the restless ones
    for (const userId of users) {
      expect(await eventsOf(one, userId)).toEqual(['Joined']);
      expect(scene.watchers[0]?.left).not.toContain(userId);
    }
  });

  it('P6: two tabs on two processes in the same moment are one user that joined', async () => {
    const [one, two, three] = nodes as [ClusterNode, ClusterNode, ClusterNode];
    scene = await PresenceScene.on(nodes, 'tabs');
    const users = Array.from({ length: 20 }, (_, n) => `twice${n}`);
    for (const userId of users) {
      const tabs = await Promise.all([two.connect(userId), three.connect(userId)]);
      await Promise.all(tabs.map((tab) => tab.join(ROOM)));
    }
    await until(async () => (await eventsOf(one, 'twice19')).length > 0);
    await scene.judge(100); // reads what they were told
    for (const node of nodes) for (const userId of users) expect(await eventsOf(node, userId)).toEqual(['Joined']);
    await until(async () => {
      await scene?.judge(100);
      return (scene?.watchers ?? []).every(({ joined }) => joined.includes('twice19'));
    });
    for (const { joined, left } of scene.watchers) {
      for (const userId of users) expect(joined.filter((name) => name === userId)).toHaveLength(1);
      expect(left.filter((name) => name.startsWith('twice'))).toEqual([]);
    }
  });

  it.each([
    ['is flushed', async () => void (await redis.run('FLUSHALL'))],
    [
      'restarts empty',
      async () => {
        await redis.kill();
        await pause(300);
        await redis.start();
      },
    ],
    [
      'restarts from an older file',
      async () => {
        await redis.run('SAVE');
        await pause(300);
        await redis.kill({ forgets: false });
        await redis.start();
      },
    ],
  ])(
    'P2, P7: when Redis %s, everybody knows the truth again, and nobody was told of leaves that weren’t',
    async (name, happen) => {
      scene = await PresenceScene.on(nodes, name.replaceAll(' ', '-'));
      await pause(500);
      await happen();
      await pause(1_000);
      expect(await scene.judge()).toEqual([]);
    },
  );
});

describeWithRedis('presence in two processes', () => {
  const stops: (() => unknown)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0).toReversed()) await stop();
  });

  it('P2, P7: when Sentinel promotes a replica that lacks the newest, everybody knows the truth again', async () => {
    const pair = await SentinelPair.start();
    stops.push(() => pair.stop());
    const { redis } = pair;
    const nodes = await Promise.all([1, 2].map(() => ClusterNode.start(presenceOptions({ redis }))));
    stops.push(() => Promise.all(nodes.map((node) => node.stop())));
    scene = await PresenceScene.on(nodes, 'failed-over');
    await pair.deafen();
    await scene.enter(nodes[0] as ClusterNode, 'unknown-to-the-replica');
    await pause(300);
    await pair.master.kill();
    expect(await scene.judge(45_000)).toEqual([]);
  });

  it('P2, P7: on a Redis Cluster, a slot that moves and a promoted replica change nothing for long', async () => {
    const servers = await startRedisCluster({ hasReplicas: true });
    stops.push(() => servers.stop());
    const clusterPorts = servers.nodes.map(({ port }) => port);
    const nodes = await Promise.all([1, 2].map(() => ClusterNode.start(presenceOptions(), { clusterPorts })));
    stops.push(() => Promise.all(nodes.map((node) => node.stop())));
    const moved = (scene = await PresenceScene.on(nodes, 'moved'));
    await pause(300);
    await moveSlot(servers.nodes, `{${ROOM}}`);
    await pause(500);
    expect(await moved.judge()).toEqual([]);
    moved.stop();
    let room = '';
    for (let n = 2; !room; n++) if ((await ownerOf(servers.nodes, `{chat:${n}}`)) === 2) room = `chat:${n}`;
    scene = await PresenceScene.on(nodes, 'promoted', room);
    await pause(300);
    await (servers.nodes[2] as TestRedis).kill();
    expect(await scene.judge(45_000)).toEqual([]);
  });
});
