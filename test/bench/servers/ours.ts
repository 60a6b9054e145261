// This module, by its public API alone: a Nest application on Fastify.
import 'reflect-metadata';
import { Module, UseGuards, UseInterceptors } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { MessageBody } from '@nestjs/websockets';
import type { AddressInfo } from 'node:net';
import { HISTORY_SIZE, type News, now, PEOPLE, ROOM, serve, type ServerSettings } from '../contract.js';
import { BenchGuard, BenchInterceptor, BenchPipe } from './enhancers.js';

// The compiled package of this run: the published one would be @scpxl/nestjs-websocket.
const { PxlWebSocketModule, WebSocketService, WsGateway, WsRoute } = (await import(
  process.env['BENCH_DIST'] as string
)) as typeof import('../../../lib/index.js');

const closed: { code: number | undefined; at: number }[] = [];

async function start({ redis, history, presence }: ServerSettings) {
  @WsGateway('bench')
  class BenchGateway {
    @WsRoute('echo')
    echo(@MessageBody() news: News): News {
      return news;
    }

    @WsRoute('once', { idempotent: true })
    once(@MessageBody() news: News): News {
      return news;
    }

    @UseGuards(BenchGuard)
    @UseInterceptors(BenchInterceptor)
    @WsRoute('guarded')
    guarded(@MessageBody(BenchPipe) news: News): News {
      return news;
    }

    @WsRoute('say')
    async say(@MessageBody() news: News): Promise<void> {
      await publish(ROOM, news);
    }
  }

  @Module({
    imports: [
      PxlWebSocketModule.forRoot({
        redis,
        maxConnections: 20_000,
        rooms: { maxPerClient: 5_000, history: history ? [{ match: history, size: HISTORY_SIZE }] : [] },
        // As the others have it: no grace, and the whole list.
        presence: presence ? [{ match: PEOPLE, graceMs: 0, maxUsers: 5_000, maxBytes: 1_048_576 }] : [],
        // The peers have nothing like these two.
        limits: { messages: false },
        clientList: { enabled: false },
        delivery: { flush: JSON.parse(process.env['BENCH_FLUSH'] ?? '"turn"') as 'turn' },
        events: { onDisconnected: ({ code }) => closed.push({ code, at: now() }) },
      }),
    ],
    providers: [BenchGateway],
  })
  class AppModule {}

  const app = await NestFactory.create<NestFastifyApplication>(AppModule, new FastifyAdapter(), { logger: false });
  const service = app.get(WebSocketService);
  const publish = (room: string, news: News): Promise<void> =>
    service.sendToRooms([room], { type: 'bench', action: 'news', data: news });
  await app.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 });
  const { port } = app.getHttpServer().address() as AddressInfo;
  return { port, publish, commands: { closed: () => closed } };
}

await serve(start);
