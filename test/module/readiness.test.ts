import { request } from 'node:http';
import { Controller, Get, Inject, ServiceUnavailableException } from '@nestjs/common';
import { afterEach, describe, expect, it } from '@jest/globals';
import { WebSocketServer } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { RawPeer } from '../support/raw-peer.js';
import { until } from '../support/until.js';

/** As the README shows it. */
@Controller('health')
class HealthController {
  constructor(@Inject(WebSocketServer) private readonly server: WebSocketServer) {}

  @Get('ready')
  ready() {
    const { state, connections } = this.server.status;
    if (!this.server.isRunning) throw new ServiceUnavailableException({ state });
    return { state, connections };
  }
}

describe('readiness', () => {
  let running: RunningApp;
  const raws: RawPeer[] = [];
  afterEach(async () => {
    for (const raw of raws.splice(0)) raw.reset();
    await running.close();
  });

  /** As a probe asks: on a connection of its own. */
  const probe = (): Promise<{ status: number | undefined; body: string }> =>
    new Promise((resolve, reject) => {
      const asking = request({ port: running.port, host: '127.0.0.1', path: '/health/ready', agent: false });
      asking.once('error', reject).once('response', (response) => {
        let body = '';
        response.on('data', (chunk) => (body += String(chunk)));
        response.once('end', () => resolve({ status: response.statusCode, body }));
      });
      asking.end();
    });

  it.each(['fastify', 'express'] as const)(
    'is off before the first client is told to go, and a probe hears so while clients leave (%s)',
    async (platform) => {
      running = await startApp({ platform, controllers: [HealthController] });
      const peers = await Promise.all([1, 2, 3].map(() => running.connect()));
      // It never answers the close frame: the drain lasts until its limit.
      raws.push(await RawPeer.open(running.port, { allowHalfOpen: true }));
      const { server } = running;
      expect(await probe()).toEqual({ status: 200, body: JSON.stringify({ state: 'ready', connections: 4 }) });
      const states = new Map<unknown, string>();
      for (const { ws } of server.getClients()) {
        const close = ws!.close.bind(ws);
        ws!.close = (...args) => {
          if (!states.has(ws)) states.set(ws, `${server.status.state}, ${server.isRunning}`);
          close(...args);
        };
      }
      const closing = running.app.close();
      await Promise.all(peers.map((peer) => peer.closed));
      const { status, body } = await probe();
      expect([status, JSON.parse(body).state]).toEqual([503, 'draining']);
      await until(() => server.status.connections === 1);
      expect([...states.values()]).toEqual(Array.from({ length: 4 }, () => 'draining, false'));
      await closing;
      expect([server.status.state, server.isRunning]).toEqual(['stopped', false]);
    },
  );
});
