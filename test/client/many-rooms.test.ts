import { afterEach, expect, it } from '@jest/globals';
import { startApp } from '../support/app.js';
import { cleanUp, connect, onCleanUp, startServer, TestClient } from './support.js';

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

it('A client that leaves rooms before it has asked for them says nothing of them', async () => {
  const server = await startServer();
  const { client, peer } = await connect(server);
  server.answer = () => undefined;
  const rooms = Array.from({ length: 100 }, (_, at) => client.room(`room-${at}`));
  for (const room of rooms) void room.join();
  void Promise.allSettled(rooms.map((room) => room.leave()));
  client.sendMessage({ type: 'system', action: 'mark' });
  await peer.next('system', 'mark');
  const actions = peer.frames.all.map(({ action }) => action);
  expect(actions.filter((action) => action === 'joinRoom')).toHaveLength(8);
  expect(actions.filter((action) => action === 'leaveRoom')).toHaveLength(8);
  expect(actions).toHaveLength(17);
});
