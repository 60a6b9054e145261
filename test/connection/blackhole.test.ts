import { expect, it } from '@jest/globals';
import type { AddressInfo, Server } from 'node:net';
import { type RunningApp, startApp } from '../support/app.js';
import { Stopwatch } from '../support/stopwatch.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';

const LIMIT_MS = 36_000;
/** So many that one of them is near the worst moment: right after a pong. */
const PEERS = 50;

const socketsOf = ({ app }: RunningApp): Promise<number> =>
  new Promise((resolve, reject) =>
    (app.getHttpServer() as Server).getConnections((error, count) => (error ? reject(error) : resolve(count))),
  );

it('L2 a blackholed peer is gone within 36 s with the default heartbeat, and nobody else', async () => {
  const running = await startApp();
  const proxy = await TcpProxy.start((running.app.getHttpServer().address() as AddressInfo).port);
  const address = `${proxy.url.replace('redis', 'ws')}/ws`;
  const [bystander] = await Promise.all([
    running.connect(),
    ...Array.from({ length: PEERS }, () => running.connectTo(address)),
  ]);
  expect(running.clients.size).toBe(PEERS + 1);
  proxy.blackhole();
  const watch = new Stopwatch();
  await until(() => running.clients.size === 1, LIMIT_MS);
  await until(async () => (await socketsOf(running)) === 1);
  expect(watch.ms).toBeLessThan(LIMIT_MS);
  await bystander.settle();
  expect(running.clients.getClient(bystander)?.roundTripMs).toBeDefined();
  await proxy.stop();
  await running.close();
});
