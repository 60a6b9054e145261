// Socket.IO; two nodes with its Redis adapter.
import { Redis } from 'ioredis';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server, type Socket } from 'socket.io';
import { HISTORY_SIZE, type News, PEOPLE, type PERSON, ROOM, serve } from '../contract.js';

/** The stream of its adapter is one for all rooms: room for what twenty of ours keep. */
const MAX_LENGTH = 20 * HISTORY_SIZE;

/** As applications write it: counts and data of users in hashes, and an event for each first connection and last one. */
class People {
  readonly #inside = new Set<string>();

  constructor(
    private readonly io: Server,
    private readonly redis: Redis,
  ) {}

  /** @returns who is there */
  async enter(socket: Socket, person: typeof PERSON): Promise<object> {
    this.#inside.add(socket.id);
    await socket.join(PEOPLE);
    const count = await this.redis.hincrby('people:count', socket.id, 1);
    await this.redis.hset('people:data', socket.id, JSON.stringify(person));
    if (count === 1) socket.to(PEOPLE).emit('entered', { userId: socket.id, data: person });
    const all = await this.redis.hgetall('people:data');
    return Object.entries(all).map(([userId, data]) => ({ userId, data: JSON.parse(data) as unknown }));
  }

  async leave(socket: Socket): Promise<void> {
    if (!this.#inside.delete(socket.id)) return;
    if ((await this.redis.hincrby('people:count', socket.id, -1)) > 0) return;
    await this.redis.hdel('people:count', socket.id);
    await this.redis.hdel('people:data', socket.id);
    this.io.to(PEOPLE).emit('left', { userId: socket.id });
  }
}

await serve(async ({ redis, history, presence }) => {
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
  const people = presence && redis ? new People(io, new Redis(redis)) : undefined;
  io.on('connection', (socket) => {
    if (people) {
      socket.on('enter', async (_room: string, person: typeof PERSON, entered: (list: object) => void) =>
        entered(await people.enter(socket, person)),
      );
      socket.on('disconnect', () => people.leave(socket));
    }
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
