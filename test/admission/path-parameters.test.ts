import { once } from 'node:events';
import { afterEach, describe, expect, it } from '@jest/globals';
import { ParseIntPipe } from '@nestjs/common';
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { WebSocket } from 'ws';
import {
  ConnectedClient,
  ConnectionParam,
  PxlWsAdapter,
  type UpgradeRequest,
  type WebSocketOptions,
  WsGateway,
  WsRoute,
} from '../../lib/index.js';
import { type AppOptions, type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';
import { RawPeer } from '../support/raw-peer.js';

@WsGateway('me')
class Me {
  @WsRoute('where')
  where(
    @ConnectionParam('tenant') tenant: string,
    @ConnectionParam() all: object,
    @ConnectedClient() client: ConnectedClient,
  ): object {
    return { tenant, all, ofClient: client.params };
  }

  @WsRoute('shard')
  shard(@ConnectionParam('shard', ParseIntPipe) shard: number): number {
    return shard;
  }
}

describe('path parameters', () => {
  let running: RunningApp;
  const raw: RawPeer[] = [];
  afterEach(async () => {
    for (const peer of raw.splice(0)) peer.reset();
    await running.close();
  });

  const start = async (options: WebSocketOptions, more: AppOptions = {}): Promise<void> => {
    running = await startApp({ providers: [Me], ...more, options });
  };

  const connect = (path: string): Promise<Peer> => running.connectTo(`ws://127.0.0.1:${running.port}${path}`);

  async function statusOf(path: string): Promise<number | undefined> {
    const peer = await RawPeer.handshake(running.port, { path });
    raw.push(peer);
    return peer.answer?.status;
  }

  it('reach authentication, hooks, handlers and the client itself, decoded', async () => {
    const seen: unknown[] = [];
    await start({
      path: '/ws/:tenant/rooms/:room',
      auth: { authenticate: ({ params }) => ({ userId: `${params['tenant']}-user`, payload: {} }) },
      events: {
        onConnected: ({ params, request }) => seen.push(params, (request as UpgradeRequest).params),
      },
    });
    const peer = await connect('/ws/acme/rooms/caf%C3%A9%2F1?x=1');
    const params = { tenant: 'acme', room: 'café/1' };
    expect(peer.connected.data.user).toEqual({ userId: 'acme-user' });
    expect(seen).toEqual([params, params]);
    const { response } = await peer.request('me', 'where');
    expect(response).toEqual({ tenant: 'acme', all: params, ofClient: params });
  });

  it('go through pipes', async () => {
    await start({ path: '/ws/:shard' });
    expect((await (await connect('/ws/12')).request('me', 'shard')).response).toBe(12);
    expect((await (await connect('/ws/x')).request('me', 'shard')).data.code).toBe('BAD_REQUEST');
  });

  it('are empty where the path has none', async () => {
    await start({});
    const { response } = await (await connect('/ws')).request('me', 'where');
    expect(response).toEqual({ all: {}, ofClient: {} });
  });

  it('R9: stand for one whole segment; all else matches exactly', async () => {
    await start({ path: '/ws/:tenant/live.v1' });
    for (const path of [
      '/ws/a/live.v1',
      '/ws/a:b/live.v1',
      '/ws/../live.v1',
      '/ws/%2e/live.v1?y',
      '/ws/__proto__/live.v1',
    ])
      expect([path, await statusOf(path)]).toEqual([path, 101]);
    const others = [
      '/ws//live.v1',
      '/ws/live.v1',
      '/ws/a/b/live.v1',
      '/ws/a/live.v1/',
      '/ws/a/live.v12',
      '/ws/a/liveXv1',
      '/ws/a/live%2ev1',
      '/WS/a/live.v1',
      '/x/ws/a/live.v1',
      '/ws/a/',
      '/ws?/a/live.v1',
    ];
    for (const path of others) expect([path, await statusOf(path)]).toEqual([path, 404]);
  });

  it('with invalid percent-encoding are answered with 400', async () => {
    await start({ path: '/ws/:tenant' });
    for (const path of ['/ws/%', '/ws/%zz', '/ws/%ff', '/ws/a%c3', '/ws/%ed%a0%80']) {
      const peer = await RawPeer.handshake(running.port, { path });
      raw.push(peer);
      expect([path, peer.answer?.status]).toEqual([path, 400]);
      expect(JSON.parse(peer.answer?.body ?? '')).toEqual({ code: 'BAD_REQUEST', error: expect.any(String) });
    }
    expect(running.errors).toEqual([]);
  });

  it("R4, D10: are nobody else's to see, and not to be overwritten", async () => {
    await start({ path: '/ws/:tenant', clientList: { enabled: true, minIntervalMs: 0 } });
    const peer = await connect('/ws/secret-tenant');
    const other = await connect('/ws/other');
    const client = running.clients.getClient(peer) as ConnectedClient;
    expect(() => running.clients.updateClient({ clientId: peer.clientId, key: 'params', data: {} })).toThrow('params');
    expect(() => Object.assign(client.params, { tenant: 'another' })).toThrow(TypeError);
    await peer.join('room', { params: { tenant: 'another' } });
    expect(client.params).toEqual({ tenant: 'secret-tenant' });
    running.server.sendMessageToAll({ data: { type: 'x', action: 'y', data: client } });
    await other.next('x', 'y');
    await other.settle();
    expect(JSON.stringify([...other.received, client])).not.toContain('secret-tenant');
    await expect(startApp({ options: { clientList: { publicFields: ['params'] } } })).rejects.toThrow('"params"');
  });

  it.each([
    ['/ws/*', 'there are no wildcards'],
    ['/ws/:tenant(.*)', 'there are no wildcards'],
    ['/ws{/:tenant}', 'there are no wildcards'],
    ['/ws/v:version', 'a parameter is a whole segment'],
    ['/ws/:from-:to', 'a parameter is a whole segment'],
    ['/ws/:', 'a parameter is a whole segment'],
    ['/ws/:__proto__', 'a parameter is a whole segment'],
    ['/:a/:a', 'names a parameter twice'],
  ])('fail at start when they cannot work: %s', async (path, message) => {
    await expect(startApp({ options: { path } })).rejects.toThrow(message);
    await expect(startApp({ options: { url: path } })).rejects.toThrow(message);
    running = await startApp();
  });

  describe('beside gateways of Nest', () => {
    @WebSocketGateway({ path: '/ws/stock' })
    class Stock {
      @SubscribeMessage('echo')
      echo(@MessageBody() data: unknown): unknown {
        return { event: 'echo', data };
      }
    }

    @WebSocketGateway({ path: '/ws/:tenant' })
    class Ours {
      @SubscribeMessage('ours/where')
      where(@ConnectionParam('tenant') tenant: string): string {
        return tenant;
      }
    }

    it('leave a gateway its exact path, and share their own path with gateways', async () => {
      await start(
        { path: '/ws/:tenant' },
        { providers: [Stock, Ours], configure: (app) => app.useWebSocketAdapter(new PxlWsAdapter(app)) },
      );
      const stock = new WebSocket(`ws://127.0.0.1:${running.port}/ws/stock`);
      await once(stock, 'open');
      stock.send(JSON.stringify({ event: 'echo', data: 'stock' }));
      const [answer] = (await once(stock, 'message')) as [Buffer];
      expect(JSON.parse(answer.toString())).toEqual({ event: 'echo', data: 'stock' });
      expect(running.clients.size).toBe(0);
      stock.terminate();
      expect((await (await connect('/ws/acme')).request('ours', 'where')).response).toBe('acme');
      expect(await statusOf('/ws/a/b')).toBe(404);
    });
  });
});
