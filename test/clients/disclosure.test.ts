import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller } from '@nestjs/common';
import type { WebSocket } from 'ws';
import { ConnectedClient, WsGateway, WsRoute, WebSocketServer } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { RawPeer } from '../support/raw-peer.js';

/** Each stands for one thing of a client that nobody else may see. */
const SECRETS = {
  token: 'SECRET-token',
  header: 'SECRET-header',
  query: 'SECRET-query',
  claim: 'SECRET-claim',
  metadata: 'SECRET-metadata',
  error: 'SECRET-error',
  partial: 'SECRET-partial',
};
/** Field names of sockets, requests and of this library's own objects. */
const INTERNALS =
  /"_?(ws|socket|_events|_receiver|_sender|_readableState|readyState|request|headers|payload|lastActivity)"/;

@Controller()
@WsGateway('leak')
class LeakGateway {
  constructor(private readonly server: WebSocketServer) {}

  @WsRoute('clients')
  clients() {
    const clients = this.server.getClients();
    this.server.sendMessageToAll({ data: { type: 'leak', action: 'all', data: { clients } } });
    return clients;
  }

  @WsRoute('client')
  client(@ConnectedClient() client: ConnectedClient) {
    this.server.clientManager.updateClient({ clientId: client.clientId, key: 'note', data: SECRETS.metadata });
    return { client, same: this.server.clientManager.getClient({ clientId: client.clientId }) };
  }

  @WsRoute('socket')
  socket(ws: WebSocket) {
    this.server.sendMessageToAll({ data: { type: 'leak', action: 'all', data: { ws } } });
    return { ws };
  }

  @WsRoute('error')
  error() {
    throw new Error(SECRETS.error);
  }
}

describe('R4: nothing of one client reaches another', () => {
  let running: RunningApp;
  afterEach(() => running.close());

  it('in greetings, lists, joins, leaves, errors or in clients and sockets sent as data', async () => {
    running = await startApp({
      controllers: [LeakGateway],
      options: {
        clientList: { enabled: true, minIntervalMs: 0 },
        auth: {
          authenticate: () => ({ userId: 'u-1', payload: { claim: SECRETS.claim, userType: 'member' } }),
        },
      },
    });
    const watcher = await RawPeer.open(running.port);
    const victim = await running.connectTo(`${running.url}?token=${SECRETS.query}`, {
      headers: { authorization: `Bearer ${SECRETS.token}`, cookie: `id=${SECRETS.header}` },
    });
    await victim.join('lobby', { username: 'Vic', extra: SECRETS.metadata });
    for (const action of ['clients', 'client', 'socket', 'error', 'unknown']) await victim.request('leak', action);
    victim.sendRaw(`{"type":"leak","action":"${SECRETS.partial}`);
    await victim.error();
    running.rooms.removeClientFromRoom({ clientId: victim.clientId, roomName: 'lobby' });
    await victim.next('system', 'leftRoom');
    const sockets = await Promise.all([running.connect(), running.connect()]);
    victim.terminate();
    for (const peer of sockets) {
      await peer.request('leak', 'clients');
      peer.terminate();
    }
    watcher.send({ type: 'system', action: 'ping', id: 'end' });
    await watcher.until(() => watcher.messages.some(({ id }) => id === 'end'));
    await watcher.until(() => watcher.messages.some(({ action }) => action === 'clientList'));

    const seen = `${watcher.bytes.toString()}${sockets.map(({ received }) => JSON.stringify(received)).join('')}`;
    expect(seen).toContain('"clientList"');
    expect(seen).toContain('"leak","action":"all"');
    for (const secret of Object.values(SECRETS)) expect(seen).not.toContain(secret);
    expect(seen).not.toMatch(INTERNALS);
    // The victim itself hears of its own message no more than what is wrong with it.
    expect(JSON.stringify(victim.received)).not.toMatch(/SECRET/);
  });

  it('shows of a client only what publicFields names', async () => {
    running = await startApp({
      controllers: [LeakGateway],
      options: {
        clientList: { enabled: true, minIntervalMs: 0, publicFields: ['username', 'avatar'] },
      },
    });
    const peer = await running.connect();
    await peer.join('lobby', { username: 'Ann', userId: 'u-1', userType: 'member' });
    running.clients.updateClient({ clientId: peer.clientId, key: 'avatar', data: 'cat.png' });
    const list = await peer.take(({ action, data }) => action === 'clientList' && data.clients[0].avatar);
    expect(list.data).toEqual({ event: 'updated', count: 1, clients: [{ username: 'Ann', avatar: 'cat.png' }] });
    const { response } = await peer.request('leak', 'client');
    expect(response.client).toEqual({ username: 'Ann', avatar: 'cat.png' });
  });
});
