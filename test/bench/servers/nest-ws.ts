// A gateway of Nest's own on @nestjs/platform-ws. It has no rooms: the gateway keeps them, as applications do.
import 'reflect-metadata';
import { Module, UseGuards, UseInterceptors } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { WsAdapter } from '@nestjs/platform-ws';
import {
  ConnectedSocket,
  MessageBody,
  type OnGatewayDisconnect,
  SubscribeMessage,
  WebSocketGateway,
  type WsResponse,
} from '@nestjs/websockets';
import type { AddressInfo } from 'node:net';
import type { WebSocket } from 'ws';
import { type News, ROOM, serve } from '../contract.js';
import { BenchGuard, BenchInterceptor, BenchPipe } from './enhancers.js';

@WebSocketGateway()
class BenchGateway implements OnGatewayDisconnect {
  readonly #rooms = new Map<string, Set<WebSocket>>();

  publish(room: string, news: News): void {
    for (const client of this.#rooms.get(room) ?? []) client.send(JSON.stringify({ event: 'news', data: news }));
  }

  @SubscribeMessage('join')
  join(@ConnectedSocket() client: WebSocket, @MessageBody('room') room: string): WsResponse<string> {
    this.#rooms.set(room, (this.#rooms.get(room) ?? new Set()).add(client));
    return { event: 'joined', data: room };
  }

  handleDisconnect(client: WebSocket): void {
    for (const members of this.#rooms.values()) members.delete(client);
  }

  @SubscribeMessage('echo')
  echo(@MessageBody() news: News): WsResponse<News> {
    return { event: 'echo', data: news };
  }

  @UseGuards(BenchGuard)
  @UseInterceptors(BenchInterceptor)
  @SubscribeMessage('guarded')
  guarded(@MessageBody(BenchPipe) news: News): WsResponse<News> {
    return { event: 'guarded', data: news };
  }

  @SubscribeMessage('say')
  say(@MessageBody() news: News): void {
    this.publish(ROOM, news);
  }
}

@Module({ providers: [BenchGateway] })
class AppModule {}

await serve(async () => {
  const app = await NestFactory.create<NestFastifyApplication>(AppModule, new FastifyAdapter(), { logger: false });
  app.useWebSocketAdapter(new WsAdapter(app));
  await app.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 });
  const { port } = app.getHttpServer().address() as AddressInfo;
  const gateway = app.get(BenchGateway);
  return { port, publish: (room, news) => gateway.publish(room, news) };
});
