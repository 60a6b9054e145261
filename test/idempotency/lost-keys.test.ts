import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { MessageBody } from '@nestjs/websockets';
import { WebSocketClient, WsRoute } from '../../lib/index.js';
import { startApp } from '../support/app.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';
import { cleanUp, onCleanUp } from '../client/support.js';

afterEach(cleanUp);

@Injectable()
class Till {
  readonly runs: string[] = [];

  @WsRoute('till', 'pay', { idempotent: true })
  pay(@MessageBody() name: string): string {
    this.runs.push(name);
    return name;
  }
}

interface Scene {
  till: Till;
  /** Of the client's connection only. */
  proxy: TcpProxy;
  client: WebSocketClient;
  /** The keys are lost, and the server knows that since when. */
  lose(): Promise<void>;
}

async function start(redis?: TestRedis): Promise<Scene> {
  const auth = { authenticate: () => ({ userId: 'ada', payload: {} }) }; // keys of one user are lost together
  const running = await startApp({ providers: [Till], options: { redis: redis?.url, keys: { maxKeys: 1 }, auth } });
  onCleanUp(() => running.close());
  const proxy = await TcpProxy.start(running.port);
  onCleanUp(() => proxy.stop());
  const connect = async (url: string): Promise<WebSocketClient> => {
    const client = new WebSocketClient({
      url,
      pingIntervalMs: false,
      reconnect: { minDelayMs: 1, maxDelayMs: 4 },
      events: { onError: () => undefined },
    });
    onCleanUp(() => client.disconnect());
    await client.connectToServer();
    return client;
  };
  const [client, other] = await Promise.all([connect(`${proxy.httpUrl}/ws`), connect(running.url)]);
  return {
    till: running.app.get(Till),
    proxy,
    client,
    async lose() {
      await redis?.run('FLUSHALL');
      await other.request('till', 'pay', 'another', { retry: true }); // of one key, the memory forgets the one before
    },
  };
}

const kinds: [string, () => Promise<Scene>][] = [['in memory', () => start()]];
if (hasRedis())
  kinds.push([
    'in Redis',
    async () => {
      const redis = await TestRedis.start();
      onCleanUp(() => redis.stop());
      return start(redis);
    },
  ]);

describe.each(kinds)('a request that is sent again when keys %s were lost', (_where, begin) => {
  it('C5: is in doubt if it was sent for the first time before that, however long it is on its way now', async () => {
    const { till, proxy, client, lose } = await begin();
    proxy.hold('down');
    const answer = client.request('till', 'pay', 'tea', { retry: true });
    answer.catch(() => undefined);
    await until(() => till.runs.length === 1);
    await lose();
    proxy.reset();
    proxy.heal();
    proxy.delay(3_000); // longer than it was from the first try to the loss
    await expect(answer).rejects.toMatchObject({ code: 'IN_DOUBT', details: { isHandled: false } });
    expect(till.runs).toEqual(['tea', 'another']);
  });

  it('C5: is handled if it was sent for the first time after that', async () => {
    const { till, proxy, client, lose } = await begin();
    await lose();
    await new Promise((resolve) => setTimeout(resolve, 3_000)); // longer than the new connection takes
    const cut = proxy.cutAfter(0, 'up');
    const answer = client.request('till', 'pay', 'tea', { retry: true });
    await cut;
    expect(await answer).toBe('tea');
    expect(till.runs).toEqual(['another', 'tea']);
  });
});

describe('a request that is sent again when older keys were forgotten meanwhile', () => {
  it('C5: is handled if it never came: its own key would still be known', async () => {
    const { till, proxy, client, lose } = await start();
    await lose();
    await new Promise((resolve) => setTimeout(resolve, 3_000)); // longer than the new connection takes
    proxy.hold('up');
    const answer = client.request('till', 'pay', 'tea', { retry: true });
    await lose(); // of the key that is 3 s old
    proxy.reset();
    proxy.heal();
    expect(await answer).toBe('tea');
    expect(till.runs).toEqual(['another', 'another', 'tea']);
  });
});
