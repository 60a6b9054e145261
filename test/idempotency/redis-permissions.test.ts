import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { WsRoute } from '../../lib/index.js';
import { forNodes, rulesBesides } from '../support/acl-rules.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Frame, Peer } from '../support/peer.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const forKeys = rulesBesides('sending-once-server');
/** Of these, the node itself says that they are missing, or it is reported. */
const SAID_BEFORE = ['+eval', '+evalsha', '+info'];

@Injectable()
class Orders {
  @WsRoute('orders', 'place', { idempotent: true })
  place(): string {
    return 'placed';
  }
}

(hasRedis() ? describe : describe.skip)('a user of Redis, and the permissions that keys need', () => {
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

  async function place(peer: Peer): Promise<Frame> {
    peer.sendRaw(JSON.stringify({ type: 'system', action: 'session', data: { session: 'a'.repeat(32) } }));
    peer.sendRaw(JSON.stringify({ type: 'orders', action: 'place', id: 1, key: 'k' }));
    return peer.take(({ id }) => id === 1);
  }

  it('has all that they need, and is told at the start if INFO is missing', async () => {
    const app = await startWith();
    expect((await place(await app.connect())).response).toBe('placed');
    expect(app.errors).toEqual([]);
    const unfenced = await startWith('-info');
    expect(unfenced.errors.map(({ message }) => message)).toContainEqual(
      expect.stringMatching(/^Redis refuses INFO to this user, .* may be handled twice\. Add the rule "\+info"/),
    );
  });

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
    expect(await place(peer)).toMatchObject({ data: { code: 'UNAVAILABLE' } });
    expect(app.errors.map(({ message }) => message)).toContainEqual(expect.stringMatching(/NOPERM|can't run/));
  });
});
