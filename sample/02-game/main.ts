import 'reflect-metadata';
import fastifyStatic from '@fastify/static';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { fileURLToPath } from 'node:url';
import { AppModule } from './app.module.js';

const { PORT = '3001', HOST = '127.0.0.1' } = process.env;
/** From dist-sample/02-game, where the compiled sample runs. */
const page = fileURLToPath(new URL('../../sample/02-game/public/', import.meta.url));
/** The built package: the page's import map points at its browser client. */
const dist = fileURLToPath(new URL('../', import.meta.resolve('@scpxl/nestjs-websocket/client')));

try {
  const app = await NestFactory.create<NestFastifyApplication>(AppModule, new FastifyAdapter(), {
    logger: ['warn', 'error', 'fatal'],
    abortOnError: false,
  });
  app.enableShutdownHooks();
  await app.register(fastifyStatic, { root: page });
  await app.register(fastifyStatic, { root: dist, prefix: '/pxl/', decorateReply: false });
  await app.listen(Number(PORT), HOST);
  console.log(`Connect Four: ${await app.getUrl()}`);
} catch (error) {
  const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
  console.error(isTaken ? `Port ${PORT} is taken. Choose another one with the environment variable PORT.` : error);
  process.exit(1);
}
