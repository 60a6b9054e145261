import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { WebSocket } from 'ws';
import type { WebSocketOptions } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Frame, Peer } from '../support/peer.js';
import { RawPeer } from '../support/raw-peer.js';
import { until } from '../support/until.js';

const isList = ({ action }: Frame): boolean => action === 'clientList' || action === 'clientListChanged';

describe('the public client list', () => {
  let running: RunningApp;
  const raw: RawPeer[] = [];
  afterEach(async () => {
    for (const peer of raw.splice(0)) peer.reset();
    await running.close();
  });

  const start = async (clientList: WebSocketOptions['clientList'] = {}, more: WebSocketOptions = {}): Promise<void> => {
    running = await startApp({ options: { clientList: { minIntervalMs: 10, ...clientList }, ...more } });
  };
  /** Clients without a socket here, each of so many bytes in the list. */
  const add = (count: number, bytes = 200, prefix = 'elsewhere'): void => {
    for (let n = 0; n < count; n++) {
      const clientId = `${prefix}-${n}`;
      running.clients.addClient({ clientId, ws: null, lastActivity: 0 });
      running.clients.updateClient({ clientId, key: 'username', data: 'x'.repeat(bytes) });
    }
  };
  const listOf = (peer: Peer, count: number): Promise<Frame> =>
    peer.take((frame) => isList(frame) && frame.data.count === count);
  const rename = (clientId: string, data: string): void =>
    running.clients.updateClient({ clientId, key: 'username', data });

  it('never names a protected room, and neither does a client in a message', async () => {
    await start({ publicFields: ['clientId', 'rooms', 'roomName'] });
    const [watcher, peer] = [await running.connect(), await running.connect()];
    const { clientId } = peer;
    for (const roomName of ['lobby', 'private:affair', 'user:ada', 'system:x'])
      running.rooms.addClientToRoom({ clientId, roomName });
    const list = await watcher.take((frame) => isList(frame) && JSON.stringify(frame).includes('lobby'));
    expect(list.data.clients.find((client: Frame) => client.clientId === clientId)).toEqual({
      clientId,
      rooms: ['lobby'],
    });
    const client = running.clients.getClient({ clientId });
    expect(client?.rooms).toHaveLength(4);
    expect(JSON.parse(JSON.stringify(client))).toEqual({ clientId, rooms: ['lobby'] });
    running.rooms.addClientToRoom({ clientId, roomName: 'foyer' });
    expect(JSON.parse(JSON.stringify(client))).toMatchObject({ rooms: ['lobby', 'foyer'], roomName: 'foyer' });
    await watcher.settle();
    expect(JSON.stringify(watcher.received)).not.toMatch(/private:|user:|system:/);
  });

  it('leaves out a client that has no JSON form, and reports it: the process and the others go on', async () => {
    await start();
    const [watcher, odd] = [await running.connect(), await running.connect()];
    await listOf(watcher, 2);
    const client = running.clients.getClient(odd) as Frame;
    client.username = 1n; // past updateClient(), which would have refused it
    rename(watcher.clientId, 'Ada');
    const list = await watcher.take((frame) => isList(frame) && JSON.stringify(frame).includes('Ada'));
    expect(list.data).toMatchObject({ count: 2, clients: [{ clientId: watcher.clientId, username: 'Ada' }] });
    expect(running.errors.map(String)).toEqual([expect.stringContaining('BigInt')]);
  });

  it('is not pushed for changes of fields that are not public', async () => {
    await start();
    const [watcher, peer] = [await running.connect(), await running.connect()];
    await listOf(watcher, 2);
    watcher.received.length = 0;
    running.rooms.addClientToRoom({ clientId: peer.clientId, roomName: 'private:affair' });
    running.clients.broadcastClientList('asked'); // the next push: by then the other would have come
    expect((await watcher.take(isList)).data.event).toBe('asked');
  });

  it('is a number when its push would be larger than maxBytes', async () => {
    await start({ maxBytes: 2_000 });
    const watcher = await running.connect();
    await listOf(watcher, 1);
    add(6);
    expect((await listOf(watcher, 7)).data.clients).toHaveLength(7);
    add(6, 200, 'more');
    expect((await listOf(watcher, 13)).data).toEqual({ event: 'updated', count: 13 });
    for (let n = 0; n < 6; n++) running.clients.removeClient(`more-${n}`);
    expect((await listOf(watcher, 7)).data.clients).toHaveLength(7); // whole again: they had none
  });

  it('counts bytes, not characters', async () => {
    await start({ maxBytes: 1_000 });
    const watcher = await running.connect();
    await listOf(watcher, 1);
    rename(watcher.clientId, '東'.repeat(320));
    expect((await watcher.take(isList)).data).toEqual({ event: 'updated', count: 1 });
  });

  it('is pushed as what changed where it is large, and as a whole to whoever is new', async () => {
    await start();
    const watcher = await running.connect();
    add(40);
    const whole = await listOf(watcher, 41);
    expect(whole.data.clients).toHaveLength(41);
    rename('elsewhere-7', 'Ada');
    running.clients.removeClient('elsewhere-8');
    const changes = await listOf(watcher, 40);
    expect(changes).toEqual({
      type: 'system',
      action: 'clientListChanged',
      data: {
        event: 'disconnected',
        count: 40,
        changed: [{ clientId: 'elsewhere-7', username: 'Ada', rooms: [] }],
        removed: ['elsewhere-8'],
      },
    });
    const late = await running.connect();
    expect((await listOf(late, 41)).data.clients).toHaveLength(41);
    expect((await listOf(watcher, 41)).data).toMatchObject({ changed: [{ clientId: late.clientId }], removed: [] });
    rename('elsewhere-9', 'Bo');
    for (const peer of [watcher, late]) expect((await listOf(peer, 41)).data.changed).toHaveLength(1);
  });

  it('adds up to the same for everybody, however it was pushed', async () => {
    await start({ minIntervalMs: 1 });
    const peers: Peer[] = [];
    for (let round = 0; round < 40; round++) {
      if (round % 10 === 0) peers.push(await running.connect());
      if (round % 3 === 0) add(round / 3, 120, `r${round}`);
      if (round % 4 === 0) for (let n = 0; n < round; n += 2) running.clients.removeClient(`r${round - 3}-${n}`);
      rename(peers[0]?.clientId as string, `name ${round}`);
      await pause(20); // some pushes, not one of everything
    }
    const last = JSON.parse(JSON.stringify(running.clients.getClients())) as Frame[];
    const sorted = (clients: Iterable<Frame>): Frame[] =>
      [...clients].toSorted((a, b) => (a.clientId < b.clientId ? -1 : 1));
    const seenBy = ({ received }: Peer): Frame[] => {
      const known = new Map<string, Frame>();
      for (const { action, data } of received.filter(isList)) {
        if (action === 'clientList') known.clear();
        for (const client of data.clients ?? data.changed ?? []) known.set(client.clientId, client);
        for (const clientId of data.removed ?? []) known.delete(clientId);
      }
      return sorted(known.values());
    };
    for (const peer of peers) {
      await until(() => JSON.stringify(seenBy(peer)) === JSON.stringify(sorted(last)));
    }
    expect(peers[0]?.received.filter(({ action }) => action === 'clientListChanged').length).toBeGreaterThan(3);
  });

  it.each([
    ['the operating system takes no more', false as const],
    ['it did not answer whether it reads', 262_144],
  ])('closes nobody who does not read for a while, and is offered again: %s', async (_, maxInFlightBytes) => {
    const backpressure = {
      maxInFlightBytes,
      drainTimeoutMs: 1_000,
      maxBufferedBytes: 20_000,
      processMaxBufferedBytes: 20_000,
    };
    await start({ minIntervalMs: 1 }, { backpressure, heartbeat: false });
    const slow = await RawPeer.open(running.port);
    raw.push(slow);
    slow.socket.pause();
    add(100, 250);
    const ws = running.clients.getClients()[0]?.ws as WebSocket;
    // First the operating system takes it all, some megabytes; what it doesn't take waits here.
    let looks = 0;
    await until(() => {
      running.clients.broadcastClientList();
      looks = ws.bufferedAmount > 0 ? looks + 1 : 0;
      return looks > 100;
    });
    const waiting = ws.bufferedAmount;
    expect(waiting).toBeLessThan(35_000);
    rename('elsewhere-1', 'the last');
    await pause(3_500); // past drainTimeoutMs, and three sweeps
    expect(ws.bufferedAmount).toBe(waiting);
    expect(running.server.status.backpressure).toMatchObject({ closed: 0 });
    slow.socket.resume();
    // As long as the list waits, the answer to the ping below is too much for the budget. What waits for an answer goes on with it.
    if (maxInFlightBytes === false) await until(() => ws.bufferedAmount === 0);
    slow.send({ type: 'system', action: 'ping' }); // it doesn't answer pings by itself
    await until(() => slow.bytes.includes('"the last"'));
  });
});
