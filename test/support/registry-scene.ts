import { expect } from '@jest/globals';
import { Redis } from 'ioredis';
import { WebSocketRedisSubscriberEvent as Event } from '../../lib/index.js';
import { type RunningApp, startApp } from './app.js';
import type { Peer } from './peer.js';
import { TestRedis } from './redis.js';
import type { Ends } from './side-by-side.js';
import { until } from './until.js';

/** Two beats are 4 s. What isn't there again by then stays away until a client changes, so that twice that time says enough. */
export const TWO_BEATS_MS = 8_000;
export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
export const idsOf = (peers: readonly Peer[]): string[] => peers.map(({ clientId }) => clientId).toSorted();
export const clientIdsOf = ({ clients }: RunningApp): string[] =>
  clients
    .getClients()
    .map(({ clientId }) => clientId)
    .toSorted();
export const knows = (app: RunningApp, peers: readonly Peer[], waitMs?: number): Promise<void> =>
  until(() => String(clientIdsOf(app)) === String(idsOf(peers)), waitMs);

/** Nodes on a Redis of their own that loses what the registry wrote: what they know stays true, and Redis says it again. */
export class Scene {
  readonly apps: RunningApp[] = [];
  readonly members: Peer[] = [];
  /** The clients that a node heard to be gone. */
  readonly losses: unknown[] = [];

  private constructor(
    readonly redis: TestRedis,
    readonly plain: Redis,
    private readonly ends: Ends,
  ) {}

  static async begin(ends: Ends, settings: string[] = []): Promise<Scene> {
    const redis = await TestRedis.start(settings);
    ends(() => redis.stop());
    const plain = new Redis(redis.port, '127.0.0.1');
    ends(() => plain.quit());
    return new Scene(redis, plain, ends);
  }

  /** Two nodes that know each other's members of a room. */
  static async ofTwo(ends: Ends, settings: string[] = []): Promise<Scene> {
    const scene = await Scene.begin(ends, settings);
    await scene.addNode();
    await scene.addNode();
    for (const app of scene.apps) scene.members.push(await app.connect());
    await Promise.all(scene.members.map((peer) => peer.join('red')));
    await scene.allKnow();
    return scene;
  }

  get one(): RunningApp {
    return this.apps[0] as RunningApp;
  }

  get two(): RunningApp {
    return this.apps[1] as RunningApp;
  }

  get nodeIds(): string[] {
    return this.apps.map(({ server }) => server.status.nodeId);
  }

  async addNode(url = this.redis.url): Promise<RunningApp> {
    const app = await this.start(url);
    this.apps.push(app);
    return app;
  }

  async start(url = this.redis.url): Promise<RunningApp> {
    const app = await startApp({
      options: {
        redis: url,
        subscriberEventHandler: ({ channel, message }) => {
          if (channel === Event.ClientDisconnected || channel === Event.ClientLeftRoom) this.losses.push(message);
        },
      },
    });
    this.ends(() => app.close());
    return app;
  }

  async allKnow(waitMs?: number): Promise<void> {
    await Promise.all(this.apps.map((app) => knows(app, this.members, waitMs)));
  }

  async fetchesAll(app: RunningApp): Promise<boolean> {
    const { clients, missing } = await app.server.fetchClients();
    return (
      missing.length === 0 && String(clients.map(({ clientId }) => clientId).toSorted()) === String(idsOf(this.members))
    );
  }

  /** Who couldn't be read isn't left out without a word. */
  async leavesNobodyOut(app: RunningApp): Promise<void> {
    const { clients, missing } = await app.server.fetchClients();
    if (missing.length === 0) expect(clients).toHaveLength(this.members.length);
  }

  keysOf(...names: string[]): string[] {
    return names.flatMap((name) =>
      name === 'nodes' ? ['pxl:nodes'] : this.nodeIds.map((id) => `pxl:{${id}}:${name}`),
    );
  }

  /** In Redis, and so for a node that comes now, everything is as it should be. */
  async isTrueAgain(waitMs = TWO_BEATS_MS): Promise<number> {
    const { apps, members, plain } = this;
    const from = Date.now();
    const nodeIds = this.nodeIds.toSorted();
    await until(async () => {
      if (String((await plain.smembers('pxl:nodes')).toSorted()) !== String(nodeIds)) return false;
      if ((await plain.exists(...this.keysOf('lease'))) !== apps.length) return false;
      return (await Promise.all(apps.map((app) => this.fetchesAll(app)))).every(Boolean);
    }, waitMs);
    const took = Date.now() - from;
    for (const app of apps)
      expect([app.server.status.nodeIds.toSorted(), clientIdsOf(app)]).toEqual([nodeIds, idsOf(members)]);
    const late = await this.start();
    await knows(late, members, 1_000); // it has read them before it was ready
    expect(await this.fetchesAll(late)).toBe(true);
    expect(this.losses).toEqual([]);
    return took;
  }
}
