// Bun's native server with its topics; runs in Bun, not in Node.
import { type News, ROOM, serve } from '../contract.js';

interface BunSocket {
  subscribe(topic: string): void;
  send(text: string): void;
}

interface BunServer {
  port: number;
  upgrade(request: Request): boolean;
  publish(topic: string, text: string): void;
}

declare const Bun: {
  serve(options: {
    port: number;
    hostname: string;
    fetch(request: Request, server: BunServer): Response | undefined;
    websocket: { perMessageDeflate: boolean; message(socket: BunSocket, text: string): void };
  }): BunServer;
};

await serve(async () => {
  const publish = (room: string, news: News): void =>
    server.publish(room, JSON.stringify({ type: 'bench', action: 'news', data: news }));
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: (request, upgrading) => (upgrading.upgrade(request) ? undefined : new Response('no', { status: 426 })),
    websocket: {
      perMessageDeflate: false,
      message(socket, text) {
        const { action, id, data } = JSON.parse(text) as { action: string; id?: number; data: News & { room: string } };
        if (action === 'echo') socket.send(JSON.stringify({ type: 'bench', action, id, response: data }));
        else if (action === 'say') publish(ROOM, data);
        else if (action === 'join') {
          socket.subscribe(data.room);
          socket.send(JSON.stringify({ type: 'bench', action: 'joined' }));
        }
      },
    },
  });
  return { port: server.port, publish };
});
