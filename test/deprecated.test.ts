import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import type { WebSocketOptions } from '../lib/index.js';
import { type RunningApp, startApp } from './support/app.js';
import { useLoggedApp } from './support/logged-app.js';
import { LogLines } from './support/log-lines.js';
import type { Peer } from './support/peer.js';

const message = { type: 'news', action: 'flash', data: { n: 1 } };

describe('a deprecated option works, and says once what to write', () => {
  const logged = useLoggedApp();
  const start = async (options: WebSocketOptions): Promise<Peer> => {
    await logged.start({ options });
    return logged.running.connect();
  };

  it('disconnectInactiveClients.inactiveTime and intervalCheckTime', async () => {
    const peer = await start({
      disconnectInactiveClients: { enabled: true, inactiveTime: 200, intervalCheckTime: 20 },
    });
    expect((await peer.closed).code).toBe(4208);
    expect(logged.log.of('deprecated')).toEqual([
      expect.stringContaining('the object alone switches it on'),
      expect.stringContaining('Write "inactiveTimeMs"'),
      expect.stringContaining('Write "intervalCheckTimeMs"'),
    ]);
  });

  it('enabled: false', async () => {
    const peer = await start({
      disconnectInactiveClients: { enabled: false, inactiveTimeMs: 50, intervalCheckTimeMs: 10 },
      clientList: { enabled: false },
    });
    await pause(200);
    await peer.settle();
    expect(peer.received.filter(({ action }) => action === 'clientList')).toEqual([]);
    expect(logged.log.of('deprecated')).toEqual([
      expect.stringContaining('Write "clientList: false"'),
      expect.stringContaining('Write "disconnectInactiveClients: false"'),
    ]);
  });

  it('delivery.flushGapMs', async () => {
    const peer = await start({ delivery: { flushGapMs: 20 } });
    logged.running.server.broadcastToAllClients({ data: message, scope: 'node' });
    expect(await peer.take(({ action }) => action === 'flash')).toMatchObject(message);
    expect(logged.log.of('deprecated')).toEqual([expect.stringContaining('Write "delivery: { flush: { gapMs } }"')]);
  });

  it('the new names say nothing', async () => {
    const peer = await start({
      disconnectInactiveClients: { inactiveTimeMs: 200, intervalCheckTimeMs: 20 },
      clientList: false,
    });
    expect((await peer.closed).code).toBe(4208);
    expect(peer.received.filter(({ action }) => action === 'clientList')).toEqual([]);
    await logged.running.close();
    const kept = await start({ disconnectInactiveClients: false, clientList: { enabled: false, publicFields: [] } });
    await kept.settle();
    expect(logged.log.of('deprecated')).toEqual([]);
  });
});

describe('a deprecated form of a call works, and says once what to write', () => {
  let running: RunningApp;
  let peer: Peer;
  let log: LogLines;
  beforeEach(async () => {
    running = await startApp({ options: { auth: { authenticate: () => ({ userId: '7', payload: {} }) } } });
    peer = await running.connect();
    log = new LogLines();
  });
  afterEach(async () => {
    log.stop();
    await running.close();
  });

  it('excludeClientId', async () => {
    const other = await running.connect();
    for (let count = 0; count < 2; count++)
      running.server.broadcastToAllClients({ data: message, excludeClientId: peer.clientId });
    running.server.broadcastToRoom({ roomName: 'red', data: message, excludeClientId: peer.clientId });
    await other.next('news', 'flash');
    await other.next('news', 'flash');
    await peer.settle();
    expect(peer.received.filter(({ type }) => type === 'news')).toEqual([]);
    expect(log.of('"excludeClientId"')).toEqual([expect.stringContaining('Write "except: [clientId]"')]);
  });

  it('disconnectClient({ clientId, code, reason })', async () => {
    const other = await running.connect();
    running.clients.disconnectClient({ clientId: peer.clientId, code: 4321, reason: 'because' });
    running.clients.disconnectClient({ clientId: other.clientId });
    expect(await Promise.all([peer.closed, other.closed])).toEqual([
      { code: 4321, reason: 'because' },
      { code: 4010, reason: 'kicked' },
    ]);
    expect(log.of('disconnectClient')).toEqual([
      expect.stringContaining('Write "disconnectClient(clientId, { code, reason })"'),
    ]);
  });

  it('disconnectUser(userId, code, reason)', async () => {
    running.server.disconnectUser('7', 4321, 'because');
    expect(await peer.closed).toEqual({ code: 4321, reason: 'because' });
    const other = await running.connect();
    await running.service.disconnectUser('7', 4322);
    expect(await other.closed).toEqual({ code: 4322, reason: 'closed by the server' });
    expect(log.of('disconnectUser')).toEqual([
      expect.stringContaining('Write "disconnectUser(userId, { code, reason })"'),
    ]);
  });

  it('the new forms say nothing', async () => {
    running.server.disconnectUser('nobody');
    running.clients.disconnectClient(peer.clientId, { code: 4321 });
    await peer.closed;
    expect(log.of('deprecated')).toEqual([]);
  });
});
