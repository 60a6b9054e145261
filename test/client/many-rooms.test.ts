import { afterEach, expect, it } from '@jest/globals';
import { startApp } from '../support/app.js';
import { until } from '../support/until.js';
import { cleanUp, onCleanUp, TestClient } from './support.js';

afterEach(cleanUp);

it('A client on an open connection joins as many rooms at once as it may be in, leaves them at once, and keeps to the usual rate', async () => {
  const running = await startApp({ options: { limits: {} } });
  onCleanUp(() => running.close());
  const client = new TestClient({ url: running.url });
  await client.connectToServer();
  const rooms = Array.from({ length: 100 }, (_, at) => client.room(`room-${at}`));
  await Promise.all(rooms.map((room) => room.join()));
  expect(rooms.filter(({ state }) => state === 'live')).toHaveLength(100);
  expect(client.disconnected.all).toEqual([]);
  expect(client.errors.all).toEqual([]);

  const departed = rooms.map((room) => room.leave());
  await Promise.all(departed);
  expect(running.rooms.getClientRooms({ clientId: String(client.clientId) })).toEqual([]);
  expect(client.disconnected.all).toEqual([]);
});

it('A client that leaves many rooms before it has asked for them is in none of them, and keeps its connection', async () => {
  const running = await startApp({ options: { limits: {} } });
  onCleanUp(() => running.close());
  const client = new TestClient({ url: running.url });
  await client.connectToServer();
  const rooms = Array.from({ length: 300 }, (_, at) => client.room(`room-${at}`));
  const joined = rooms.map((room) => room.join());
  await Promise.all(rooms.map((room) => room.leave()));
  await Promise.all(joined);
  await until(() => running.rooms.getClientRooms({ clientId: String(client.clientId) }).length === 0);
  expect(client.disconnected.all).toEqual([]);
});

it('A client leaves a room that server code has put it into', async () => {
  const running = await startApp();
  onCleanUp(() => running.close());
  const client = new TestClient({ url: running.url });
  await client.connectToServer();
  const clientId = String(client.clientId);
  for (const leave of [() => client.leaveRoom('lobby'), () => client.room('lobby').leave()]) {
    running.rooms.addClientToRoom({ clientId, roomName: 'lobby' });
    await leave();
    expect(running.rooms.getClientRooms({ clientId })).toEqual([]);
  }
});
