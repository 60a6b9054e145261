import { Module } from '@nestjs/common';
import { PxlWebSocketModule } from '@scpxl/nestjs-websocket';
import { PrimesProcessor } from './primes.processor.js';
import { PREFIX, queueModules } from './queue.js';

const redisUrl = process.env['REDIS_URL'] ?? '';

/** The process that works: it has no sockets, only the way to those who have. */
@Module({
  imports: [
    PxlWebSocketModule.forRoot({ type: 'emitter', redis: redisUrl, prefix: PREFIX }),
    ...queueModules(redisUrl),
  ],
  providers: [PrimesProcessor],
})
export class WorkerModule {}
