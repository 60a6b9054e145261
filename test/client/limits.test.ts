import { expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocketClient } from '../../lib/index.js';
import { startApp } from '../support/app.js';
import { until } from '../support/until.js';

it('our own client joins its 70 rooms again after a reconnect within the default limits', async () => {
  const running = await startApp({ options: { limits: {} } });
  const errors: Error[] = [];
  const client = new WebSocketClient({ url: running.url, events: { onError: ({ error }) => errors.push(error) } });
  await client.connectToServer();
  const clientId = running.server.getClients()[0]?.clientId as string;
  for (const group of [0, 1]) {
    await Promise.all(Array.from({ length: 35 }, (_, n) => client.joinRoom(`room-${group}-${n}`)));
    await pause(1_000);
  }
  running.clients.disconnectClient({ clientId, code: 4201 });
  const roomsOfOther = (): number =>
    running.server.getClients().find((other) => other.clientId !== clientId)?.rooms.length ?? 0;
  await until(() => roomsOfOther() === 70);
  expect(errors).toEqual([]);
  client.disconnect();
  await running.close();
});
