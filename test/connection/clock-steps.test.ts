import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import type { WebSocketOptions } from '../../lib/index.js';
import { WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { bearer, SECRET, tokenFor } from '../support/tokens.js';

const HOUR_MS = 3_600_000;
const read = Date.now;

/** Somebody sets the clock of this host. */
const stepClock = (byMs: number): void => void jest.spyOn(Date, 'now').mockImplementation(() => read() + byMs);

class Routes {
  @WsRoute('test', 'never')
  never() {
    return new Promise(() => undefined);
  }
}

describe('when the clock of the host is set', () => {
  let running: RunningApp;
  const start = async (options: WebSocketOptions): Promise<void> => {
    running = await startApp({ providers: [Routes], options });
  };
  afterEach(async () => {
    jest.restoreAllMocks();
    await running.close();
  });

  it('an hour forward, nobody is closed as idle', async () => {
    await start({ disconnectInactiveClients: { inactiveTimeMs: 5_000, intervalCheckTimeMs: 20 } });
    const peer = await running.connect();
    stepClock(HOUR_MS);
    await pause(200); // ten looks
    expect(running.server.status.connections).toBe(1);
    expect((await peer.request('system', 'ping')).response).toBeNull();
    const [client] = running.clients.getClients();
    expect(Math.abs((client?.lastActivity ?? 0) - Date.now())).toBeLessThan(60_000); // the time of day, as it is now
  });

  it('an hour back, whoever says nothing is closed as idle all the same', async () => {
    const heartbeat = false as const; // its pong would be a sign of life, an hour later
    await start({ heartbeat, disconnectInactiveClients: { inactiveTimeMs: 200, intervalCheckTimeMs: 20 } });
    const peer = await running.connect();
    stepClock(-HOUR_MS);
    expect((await peer.closed).code).toBe(4208);
  });

  it.each([HOUR_MS, -HOUR_MS])('by %i ms, a handler has the time it has', async (byMs) => {
    await start({ messages: { handlerTimeoutMs: 300 } });
    const peer = await running.connect();
    const startedAt = performance.now();
    peer.send('test', 'never', undefined, 1);
    await peer.settle();
    stepClock(byMs);
    expect((await peer.error()).data.code).toBe('TIMEOUT');
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(299);
  });

  it('an hour forward, what waits for its turn is not over', async () => {
    await start({ messages: { handlerTimeoutMs: 10_000 } });
    const peer = await running.connect();
    const replies = Promise.all([peer.request('system', 'joinRoom', { roomName: 'a' }), peer.request('test', 'none')]);
    stepClock(HOUR_MS);
    expect((await replies).map(({ type }) => type)).toEqual(['system', 'error']);
  });

  it('an hour back, the client list is pushed on', async () => {
    await start({ clientList: { enabled: true, minIntervalMs: 10 } });
    const peer = await running.connect();
    await peer.next('system', 'clientList');
    stepClock(-HOUR_MS);
    await running.connect();
    expect((await peer.take(({ data }) => data?.count === 2)).action).toBe('clientList');
    await running.connect();
    expect((await peer.take(({ data }) => data?.count === 3)).action).toBe('clientList');
  });

  it('past the expiry of a token, its connection is closed: an expiry is a time of day', async () => {
    await start({ auth: { jwt: { secret: SECRET } } });
    const peer = await running.connect(bearer(await tokenFor('ada', {}, { expiresIn: 600 })));
    stepClock(HOUR_MS);
    expect((await peer.closed).code).toBe(4200);
  });
});

describe('the time of day', () => {
  it('is read in one file only, so that no duration is measured with it', () => {
    const files = readdirSync('lib', { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.startsWith('client/'))
      .filter((file) => readFileSync(join('lib', file), 'utf8').includes('Date.now'));
    expect(files).toEqual(['clock.ts']);
  });
});
