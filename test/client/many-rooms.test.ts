import { afterEach, expect, it } from '@jest/globals';
import { startApp } from '../support/app.js';
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
