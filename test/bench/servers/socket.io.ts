// Socket.IO; two nodes with its Redis adapter.
import { Redis } from 'ioredis';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';
import { type News, ROOM, serve } from '../contract.js';

await serve(async ({ redis }) => {
  const http = createServer();
  const io = new Server(http, { transports: ['websocket'], perMessageDeflate: false });
  if (redis) {
    const { createAdapter } = await redisAdapter();
    const publisher = new Redis(redis);
    io.adapter(createAdapter(publisher, publisher.duplicate()));
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
async function redisAdapter(): Promise<{ createAdapter: (publisher: Redis, subscriber: Redis) => never }> {
  const name = '@socket.io/redis-adapter';
  return (await import(name)) as { createAdapter: (publisher: Redis, subscriber: Redis) => never };
}
