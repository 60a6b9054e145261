import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

/** The rules for a node, and what messages with a key need besides, as the pages give them. */
const ruleOn = (page: string, pattern: RegExp): string[] => {
  const text = readFileSync(new URL(`../../docs/${page}.md`, import.meta.url), 'utf8');
  return (pattern.exec(text)?.[1] ?? '').split(' ');
};
const forNodes = ruleOn('redis', /^ACL SETUSER (.*)$/m);
const forKeys = ruleOn('sending-once-server', /^ACL SETUSER \w+ (\+eval.*)$/m);
/** Of these, the node itself says that they are missing, or it is reported. */
const SAID_BEFORE = ['+eval', '+evalsha', '+info'];

@Injectable()
class Orders {
  @WsRoute('orders', 'place', { idempotent: true })
  place(): string {
    return 'placed';
  }
}

(hasRedis() ? describe : describe.skip)('a user of Redis without a permission that keys need', () => {
  let redis: TestRedis;
  const stops: (() => Promise<unknown>)[] = [];
  beforeAll(async () => void (redis = await TestRedis.start()));
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
  });
  afterAll(() => redis.stop());

  async function startWith(...without: string[]): Promise<RunningApp> {
    await redis.run('ACL', 'SETUSER', ...forNodes, ...forKeys, ...without);
    const app = await startApp({ options: { redis: redis.asApp }, providers: [Orders] });
    stops.push(() => app.close());
    return app;
  }

  it.each(forKeys.filter((rule) => !SAID_BEFORE.includes(rule)))(
    'ends the start, and names the rule %s',
    async (rule) => {
      await expect(startWith(rule.replace('+', '-'))).rejects.toThrow(`Add the rule "${rule}" to its ACL`);
      // Nothing of the start goes on.
      await until(async () => String(await redis.run('CLIENT', 'LIST')).match(/user=app/) === null);
    },
  );

  it.each(['get', 'evalsha'])('is reported when it loses %s later', async (command) => {
    const app = await startWith();
    expect(await redis.run('KEYS', '*rehearsal*')).toEqual([]);
    const peer = await app.connect();
    await redis.run('ACL', 'SETUSER', 'app', `-${command}`);
    peer.sendRaw(JSON.stringify({ type: 'system', action: 'session', data: { session: 'a'.repeat(32) } }));
    peer.sendRaw(JSON.stringify({ type: 'orders', action: 'place', id: 1, key: 'k' }));
    expect(await peer.take(({ id }) => id === 1)).toMatchObject({ data: { code: 'UNAVAILABLE' } });
    expect(app.errors.map(({ message }) => message)).toContainEqual(expect.stringMatching(/NOPERM|can't run/));
  });
});
