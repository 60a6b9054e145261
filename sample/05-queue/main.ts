import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { endChild, firstMessage, startChild } from '../04-cluster/child.js';
import { servePage } from '../04-cluster/page.js';
import { findOrStartRedis } from '../04-cluster/redis-server.js';
import { Stage } from '../04-cluster/stage.js';
import { newUserCookie, userOf } from './users.js';
import { WebModule } from './web.module.js';

const { PORT = '3003', HOST = '127.0.0.1' } = process.env;

const stage = new Stage();
await stage.run(async () => {
  const redisUrl = await findOrStartRedis(stage);

  const worker = startChild(new URL('./worker.js', import.meta.url), { REDIS_URL: redisUrl });
  stage.add(() => endChild(worker, 3_000));
  await firstMessage(worker);
  worker.once('exit', (code, signal) => {
    if (!stage.isClosing)
      console.error(`The worker ended (${signal ?? code}): jobs wait until the sample is restarted.`);
  });

  const app = await NestFactory.create<NestFastifyApplication>(WebModule.register(redisUrl), new FastifyAdapter(), {
    logger: ['warn', 'error', 'fatal'],
    abortOnError: false,
  });
  stage.add(() => app.close());
  const fastify = app.getHttpAdapter().getInstance();
  fastify.addHook('onRequest', (request, reply, done) => {
    if (!userOf(request.raw)) void reply.header('set-cookie', newUserCookie());
    done();
  });
  await servePage(app, '05-queue');
  await app.listen(Number(PORT), HOST);
  console.log(`Jobs in a queue, and a page that starts them: ${await app.getUrl()}`);
});
