import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { servePage } from '../01-chat/page.js';
import { followParent } from './child.js';
import { NodeModule } from './node.module.js';

const { PORT = '0', HOST = '127.0.0.1' } = process.env;

followParent();
const app = await NestFactory.create<NestFastifyApplication>(NodeModule, new FastifyAdapter(), {
  logger: ['warn', 'error', 'fatal'],
});
app.enableShutdownHooks();
await servePage(app);
await app.listen(Number(PORT), HOST);
process.send?.({ port: (app.getHttpServer().address() as AddressInfo).port });
