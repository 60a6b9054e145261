// Plain ws: the broadcast of its README, with a serialisation for each client.
import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import { type News, ROOM, serve } from '../contract.js';

await serve(async () => {
  const rooms = new Map<string, Set<WebSocket>>();
  const publish = (room: string, news: News): void => {
    for (const client of rooms.get(room) ?? []) {
      client.send(JSON.stringify({ type: 'bench', action: 'news', data: news }));
    }
  };
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', backlog: 4_096, perMessageDeflate: false });
  server.on('connection', (client) => {
    client.on('error', () => undefined);
    client.on('message', (bytes: Buffer) => {
      const { action, id, data } = JSON.parse(bytes.toString()) as {
        action: string;
        id?: number;
        data: News & { room: string };
      };
      if (action === 'echo') client.send(JSON.stringify({ type: 'bench', action, id, response: data }));
      else if (action === 'say') publish(ROOM, data);
      else if (action === 'join') {
        rooms.set(data.room, (rooms.get(data.room) ?? new Set()).add(client));
        client.on('close', () => rooms.get(data.room)?.delete(client));
        client.send(JSON.stringify({ type: 'bench', action: 'joined' }));
      }
    });
  });
  await new Promise((resolve) => server.once('listening', resolve));
  return { port: (server.address() as AddressInfo).port, publish };
});
