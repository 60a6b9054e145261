import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { servePage } from './serve.js';
import { TalkModule } from './talk.module.js';

const { PORT = '3000', HOST = '127.0.0.1' } = process.env;

const app = await NestFactory.create<NestFastifyApplication>(TalkModule, new FastifyAdapter(), {
  logger: ['warn', 'error', 'fatal'],
});
app.enableShutdownHooks();
await servePage(app);
await app.listen(Number(PORT), HOST);
console.log(`Talk in React: ${await app.getUrl()}`);
