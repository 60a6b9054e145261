import { describe, expect } from '@jest/globals';
import type { Redis } from 'ioredis';
import { Fleet } from '../support/cluster-node.js';
import { hasRedis } from '../support/redis.js';
import { pause, Scene, TWO_BEATS_MS } from '../support/registry-scene.js';
import { sideBySide } from '../support/side-by-side.js';
import { until } from '../support/until.js';

const describeWithRedis = hasRedis() ? describe : describe.skip;

const WRITES: Record<string, (redis: Redis, key: string) => Promise<unknown>> = {
  'a string': (redis, key) => redis.set(key, 'x'),
  'a list': (redis, key) => redis.multi().del(key).rpush(key, 'x').exec(),
};

const reportsOf = ({ apps }: Scene): string[] =>
  apps.flatMap(({ errors }) => errors.map(String)).filter((text) => text.includes('another program'));

/** Each key has its type again, and ends by itself. */
async function areOurs(scene: Scene): Promise<void> {
  const { plain } = scene;
  const types = { nodes: 'set', lease: 'string', clients: 'hash' };
  const keys = Object.entries(types).flatMap(([name, type]) => scene.keysOf(name).map((key) => ({ key, type })));
  await until(async () => {
    const found = await Promise.all(
      keys.map(async ({ key }) => [await plain.type(key), await plain.pttl(key)] as const),
    );
    return found.every(([type, leftMs], index) => type === keys[index]?.type && leftMs > 0);
  }, TWO_BEATS_MS);
}

describeWithRedis('a key of the registry that another program overwrites', () => {
  const scenario = sideBySide();

  for (const [type, overwrite] of Object.entries(WRITES))
    for (const names of [['nodes'], ['lease'], ['clients'], ['nodes', 'lease', 'clients']])
      scenario(
        `D12 is written again within two beats, and reported once: ${type} over ${names.join(', ')}`,
        async (ends) => {
          const scene = await Scene.ofTwo(ends);
          const ids = scene.nodeIds;
          const keys = scene.keysOf(...names);
          for (const key of keys) await overwrite(scene.plain, key);
          await areOurs(scene);
          await scene.isTrueAgain();
          expect(scene.nodeIds).toEqual(ids);
          const reports = reportsOf(scene);
          for (const key of keys) expect(reports.filter((text) => text.includes(`"${key}"`)).length).toBeGreaterThan(0);
          expect(reports.length).toBeLessThanOrEqual(keys.length * scene.apps.length);
          await pause(4_000);
          expect(reportsOf(scene)).toEqual(reports);
          for (const { errors } of scene.apps) expect(errors.map(String).join()).not.toContain('WRONGTYPE');
        },
      );

  scenario('takes the changes of that time: nobody is missing afterwards', async (ends) => {
    const scene = await Scene.ofTwo(ends);
    for (const key of scene.keysOf('clients')) await scene.plain.set(key, 'x');
    for (const app of [scene.one, scene.two, scene.one]) scene.members.push(await app.connect());
    await scene.members.at(-1)?.join('blue');
    await scene.allKnow();
    await areOurs(scene);
    await scene.isTrueAgain();
    for (const { errors } of scene.apps) expect(errors.map(String).join()).not.toContain('WRONGTYPE');
  });

  scenario('keeps no node from starting', async (ends) => {
    const scene = await Scene.begin(ends);
    await scene.plain.rpush('pxl:nodes', 'x');
    scene.members.push(await (await scene.addNode()).connect());
    await scene.addNode();
    await scene.allKnow();
    await until(() => scene.one.server.status.nodeIds.length === 2);
    await scene.isTrueAgain();
  });

  for (const [what, change] of Object.entries({
    'overwritten by a string': WRITES['a string'],
    'overwritten by a list': WRITES['a list'],
    'made to stay for ever': (redis: Redis, key: string) => redis.persist(key),
  }))
    scenario(`lets a node be found dead whose lease was ${what}`, async (ends) => {
      const scene = await Scene.begin(ends);
      const fleet = new Fleet(() => ({ redis: scene.redis.url }));
      ends(() => fleet.stop());
      const [one, two, three] = await Promise.all([fleet.start(), fleet.start(), fleet.start()]);
      const [ada, bob, eve] = [await one.join('red'), await two.join('red'), await three.join('red')];
      await two.knows([ada, bob, eve]);
      const [key, itsKey] = [`pxl:{${await one.nodeId()}}:lease`, `pxl:{${await three.nodeId()}}:lease`];
      await change?.(scene.plain, key);
      const isOurs = async (): Promise<boolean> =>
        (await scene.plain.get(key).catch(() => '')) === 'alive' && (await scene.plain.pttl(key)) > 0;
      await until(isOurs);
      for (const node of [one, three]) node.kill();
      if (!what.includes('for ever')) await change?.(scene.plain, itsKey); // nobody can tell such a lease from another
      await two.knows([bob], 10_500);
    });
});
