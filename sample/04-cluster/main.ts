import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { ChatNodes } from './chat-nodes.js';
import { NODE_NAMES } from './cluster.gateway.js';
import { ClusterModule } from './cluster.module.js';
import { LoadBalancer } from './load-balancer.js';
import { servePage } from './page.js';
import { findOrStartRedis } from './redis-server.js';
import { Stage } from './stage.js';

const { PORT = '3002', HOST = '127.0.0.1' } = process.env;

const stage = new Stage();
await stage.run(async () => {
  const redisUrl = await findOrStartRedis(stage);

  const nodes = new ChatNodes(NODE_NAMES, { HOST, REDIS_URL: redisUrl });
  stage.add(() => nodes.stopAll());
  const balancer = new LoadBalancer(HOST, () => nodes.nextPort());
  await balancer.listen(HOST);
  stage.add(() => balancer.close());

  const app = await NestFactory.create<NestFastifyApplication>(
    ClusterModule.register({ redisUrl, nodes, balancer }),
    new FastifyAdapter(),
    { logger: ['warn', 'error', 'fatal'], abortOnError: false },
  );
  stage.add(() => app.close());
  // Wherever the page was loaded from, the balancer is on the same host.
  await servePage(app, '04-cluster', `ws://*:${balancer.port}`);
  await Promise.all([nodes.startAll(), app.listen(Number(PORT), HOST)]);
  console.log(`Three nodes of the chat, and a page that shows them: ${await app.getUrl()}`);
});
