import { type DynamicModule, Module } from '@nestjs/common';
import { PxlWebSocketModule } from '@scpxl/nestjs-websocket';
import { MessageStore } from '../01-chat/message.store.js';
import { history } from '../01-chat/history.js';
import { ChatNodes } from './chat-nodes.js';
import { ClusterGateway } from './cluster.gateway.js';
import { LoadBalancer } from './load-balancer.js';
import { RedisMessageStore } from './redis-message.store.js';
import { settings } from './settings.js';

@Module({})
export class ClusterModule {
  static register({
    redisUrl,
    nodes,
    balancer,
  }: {
    redisUrl: string;
    nodes: ChatNodes;
    balancer: LoadBalancer;
  }): DynamicModule {
    const { prefix } = settings;
    return {
      module: ClusterModule,
      imports: [
        PxlWebSocketModule.forRoot({
          redis: redisUrl,
          prefix,
          rooms: { history },
          clientList: false,
          drain: { spreadMs: 0, terminateAfterMs: 500 },
        }),
      ],
      providers: [
        ClusterGateway,
        { provide: ChatNodes, useValue: nodes },
        { provide: LoadBalancer, useValue: balancer },
        { provide: MessageStore, useFactory: () => new RedisMessageStore(redisUrl, prefix) },
      ],
    };
  }
}
