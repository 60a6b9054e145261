import { type DynamicModule, Module } from '@nestjs/common';
import { PxlWebSocketModule } from '@scpxl/nestjs-websocket';
import { JobNews } from './job-news.js';
import { PrimesGateway } from './primes.gateway.js';
import { PREFIX, queueModules } from './queue.js';
import { userOf } from './users.js';

/** The process with the sockets. It counts nothing itself. */
@Module({})
export class WebModule {
  static register(redisUrl: string): DynamicModule {
    return {
      module: WebModule,
      imports: [
        PxlWebSocketModule.forRoot({
          redis: redisUrl,
          prefix: PREFIX,
          auth: { authenticate: userOf },
          clientList: false,
          drain: { spreadMs: 200, terminateAfterMs: 1_000 },
        }),
        ...queueModules(redisUrl),
      ],
      providers: [PrimesGateway, JobNews],
    };
  }
}
