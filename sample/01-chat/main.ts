import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { ChatModule } from './chat.module.js';
import { servePage } from './page.js';

const { PORT = '3000', HOST = '127.0.0.1' } = process.env;

try {
  const app = await NestFactory.create<NestFastifyApplication>(ChatModule, new FastifyAdapter(), {
    logger: ['warn', 'error', 'fatal'],
    abortOnError: false,
  });
  app.enableShutdownHooks();
  await servePage(app);
  await app.listen(Number(PORT), HOST);
  console.log(`The chat is open: ${await app.getUrl()}`);
  console.log('The documentation is in docs/, and as a site with: npm run docs');
} catch (error) {
  const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
  console.error(isTaken ? `Port ${PORT} is taken. Choose another one: PORT=3001 npm start` : error);
  process.exit(1);
}
