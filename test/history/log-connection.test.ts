import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { SYSTEM } from '../../lib/system.js';
import { LogConnection } from '../../lib/history/log-connection.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

(hasRedis() ? describe : describe.skip)('the connection of the logs', () => {
  let redis: TestRedis;
  let connection: LogConnection;
  let failures: unknown[];
  beforeEach(async () => {
    redis = await TestRedis.start();
    failures = [];
    connection = new LogConnection(redis.url, 'history', SYSTEM, (error) => failures.push(error));
    await connection.connect();
  });
  afterEach(async () => {
    await connection.close();
    await redis.stop();
  });

  it('comes back after ioredis has given it up, as it does in the middle of a failover', async () => {
    const { open } = connection;
    expect(open.status).toBe('ready');
    open.disconnect();
    await until(() => open.status === 'end');
    await until(() => open.status === 'ready');
    expect(await open.ping()).toBe('PONG');
  });

  it('stays closed once it was closed, and reports nothing of it', async () => {
    const { open } = connection;
    await connection.close();
    await until(() => open.status === 'end');
    await new Promise((resolve) => setTimeout(resolve, 500)); // it would have come back by now
    expect(open.status).toBe('end');
    expect(failures).toEqual([]);
    expect(() => connection.open).toThrow('no connection');
  });
});
