import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { WsRoute } from '../../lib/index.js';
import { type AppOptions, type RunningApp, startApp } from '../support/app.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const ruleOn = (page: string, pattern: RegExp): string[] => {
  const text = readFileSync(new URL(`../../docs/${page}.md`, import.meta.url), 'utf8');
  const [, rule = ''] = pattern.exec(text) ?? [];
  return rule.split(' ');
};
const forNodes = ruleOn('redis', /^ACL SETUSER (.*)$/m);
const besides = /^ACL SETUSER \w+ (\+eval.*)$/m;

@Injectable()
class Orders {
  @WsRoute('orders', 'place', { idempotent: true })
  place(): string {
    return 'placed';
  }
}

(hasRedis() ? describe : describe.skip)('a user of Redis with the permissions that the pages give', () => {
  let redis: TestRedis;
  const stops: (() => Promise<unknown>)[] = [];
  beforeAll(async () => void (redis = await TestRedis.start()));
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
  });
  afterAll(() => redis.stop());

  async function startWith(rules: string[], { options = {}, providers = [] }: AppOptions): Promise<RunningApp> {
    await redis.run('ACL', 'SETUSER', ...forNodes, ...rules);
    const app = await startApp({ options: { redis: redis.asApp, ...options }, providers });
    stops.push(() => app.close());
    return app;
  }

  it('has all that rooms with presence need', async () => {
    const presence = [{ match: 'chat:*', graceMs: 0 }];
    const rules = ruleOn('presence-operations', besides);
    const [app, other] = [
      await startWith(rules, { options: { presence } }),
      await startWith(rules, { options: { presence } }),
    ];
    const total = async (): Promise<number> => (await app.service.presence('chat:1')).total;
    const [ada, bob] = [await app.connect(), await other.connect()];
    await ada.join('chat:1', { presence: true, presenceData: 1 });
    await bob.join('chat:1', { presence: 'count' });
    await until(async () => (await total()) === 2);
    await redis.run('DEL', 'pxl:{$presence}:nodes'); // each takes the other for unknown
    await until(async () => (await redis.run('ZCARD', 'pxl:{$presence}:nodes')) === 2);
    await other.app.close();
    await until(async () => (await total()) === 1);
    await ada.request('system', 'leaveRoom', { roomName: 'chat:1' });
    await until(async () => (await total()) === 0);
    expect([...app.errors, ...other.errors]).toEqual([]);
  });

  it('has all that messages with a key need, and is told at the start if INFO is missing', async () => {
    const rules = ruleOn('sending-once-server', besides);
    const place = async (app: RunningApp): Promise<unknown> => {
      const peer = await app.connect();
      peer.sendRaw(JSON.stringify({ type: 'system', action: 'session', data: { session: 'a'.repeat(32) } }));
      peer.sendRaw(JSON.stringify({ type: 'orders', action: 'place', id: 1, key: 'k' }));
      return (await peer.take(({ id }) => id === 1)).response;
    };
    const app = await startWith(rules, { providers: [Orders] });
    expect(await place(app)).toBe('placed');
    expect(app.errors).toEqual([]);
    const unfenced = await startWith([...rules, '-info'], { providers: [Orders] });
    expect(unfenced.errors.map(({ message }) => message)).toContainEqual(
      expect.stringMatching(/^Redis refuses INFO to this user, .* may be handled twice\. Add the rule "\+info"/),
    );
  });
});
