import { afterEach, describe, expect, it } from '@jest/globals';
import { WebSocketClient } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { SECRET, tokenFor } from '../support/tokens.js';
import { until } from '../support/until.js';

describe("our client's token", () => {
  let running: RunningApp;
  let client: WebSocketClient | undefined;
  afterEach(async () => {
    client?.disconnect();
    await running.close();
  });
  const start = async (): Promise<void> => {
    running = await startApp({ options: { auth: { jwt: { secret: SECRET }, tokenFrom: ['header'] } } });
  };

  it('authenticates the client, and is fetched again when it has expired', async () => {
    await start();
    const lifetimes = [2, 3_600];
    let asked = 0;
    const ends: unknown[] = [];
    client = new WebSocketClient({
      url: running.url,
      token: () => tokenFor('ada', {}, { expiresIn: lifetimes[asked++] ?? 3_600 }),
      reconnect: { minDelayMs: 10, maxDelayMs: 20 },
      events: { onDisconnected: ({ code, willReconnect }) => void ends.push([code, willReconnect]) },
    });
    await client.connectToServer();
    expect([client.user, asked]).toEqual([{ userId: 'ada' }, 1]);
    await client.joinRoom('lobby');
    const before = client.clientId;
    await until(() => client?.state === 'open' && client.clientId !== before);
    expect(ends).toEqual([[4200, true]]);
    expect([client.user, asked, [...client.rooms]]).toEqual([{ userId: 'ada' }, 2, ['lobby']]);
  });

  it('is renewed with refresh(), and the connection stays', async () => {
    await start();
    const lifetimes = [2, 3_600];
    const ends: unknown[] = [];
    client = new WebSocketClient({
      url: running.url,
      token: () => tokenFor('ada', {}, { expiresIn: lifetimes.shift() ?? 3_600 }),
      events: { onDisconnected: (end) => void ends.push(end) },
    });
    await client.connectToServer();
    const witness = await running.connect({
      headers: { authorization: `Bearer ${await tokenFor('bob', {}, { expiresIn: 2 })}` },
    });
    const { expiresAt } = await client.refresh();
    expect(expiresAt).toBeGreaterThan(Date.now() + 3_000_000);
    expect((await witness.closed).code).toBe(4200);
    expect([client.state, ends]).toEqual(['open', []]);
  });

  it('may be a text or missing; a refused one ends the attempts to connect', async () => {
    await start();
    client = new WebSocketClient({ url: running.url, token: await tokenFor('ada') });
    await client.connectToServer();
    client.disconnect();
    client = new WebSocketClient({ url: running.url, token: () => undefined });
    await expect(client.connectToServer()).rejects.toThrow('401');
    await expect(client.refresh()).rejects.toMatchObject({ code: 'INVALID_STATE' });
    expect(client.state).toBe('closed');
    expect(() => new WebSocketClient({ url: running.url, token: 7 as never })).toThrow(
      'token is not a string or a function',
    );
  });
});
