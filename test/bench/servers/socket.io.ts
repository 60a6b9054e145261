// Socket.IO; two nodes with its Redis adapter.
import { Redis } from 'ioredis';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';
import { HISTORY_SIZE, type News, ROOM, serve } from '../contract.js';

/** The stream of its adapter is one for all rooms: room for what twenty of ours keep. */
const MAX_LENGTH = 20 * HISTORY_SIZE;

await serve(async ({ redis, history }) => {
  const http = createServer();
  const recovery = { maxDisconnectionDuration: 300_000, skipMiddlewares: true };
  const io = new Server(http, {
    transports: ['websocket'],
    perMessageDeflate: false,
    ...(history && { connectionStateRecovery: recovery }),
  });
  if (redis) {
    const publisher = new Redis(redis);
    if (history) io.adapter((await peer('redis-streams-adapter')).createAdapter(publisher, { maxLen: MAX_LENGTH }));
    else io.adapter((await peer('redis-adapter')).createAdapter(publisher, publisher.duplicate()));
  }
  io.on('connection', (socket) => {
    socket.on('join', async (room: string, joined: (answer: string) => void) => {
      await socket.join(room);
      joined('joined');
    });
    socket.on('echo', (news: News, reply: (news: News) => void) => reply(news));
    socket.on('say', (news: News) => io.to(ROOM).emit('news', news));
  });
  await new Promise<void>((resolve) => http.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, resolve));
  const { port } = http.address() as AddressInfo;
  return { port, publish: (room, news) => io.to(room).emit('news', news) };
});

/** Only there once the benchmark has installed its peers: the type-check does without. */
async function peer(name: string): Promise<{ createAdapter: (publisher: Redis, second: unknown) => never }> {
  return (await import(`@socket.io/${name}`)) as { createAdapter: (publisher: Redis, second: unknown) => never };
}
