import { BullModule } from '@nestjs/bullmq';
import type { DynamicModule } from '@nestjs/common';

export const QUEUE = 'primes';
/** Of the channels and keys of this sample. */
export const PREFIX = 'pxl-queue-sample';

/** What a job is started with. */
export interface PrimesJob {
  limit: number;
  /** Whoever started it: the only one who hears of it. */
  userId: string;
  mustFail: boolean;
}

/** What a page is told of a job. `found` is the result once it is completed. */
export interface JobView {
  jobId: string;
  limit: number;
  state: 'waiting' | 'active' | 'completed' | 'failed';
  percent: number;
  found: number;
  error?: string;
}

/** How a job fails that was started to do so. */
export const FAILED_AS_TOLD = 'It was told to fail halfway, and did.';

/** What users read of a failure. The reasons that BullMQ and Node.js give are for the log. */
export const sentenceOf = (reason: string): string =>
  reason === FAILED_AS_TOLD ? reason : 'The worker could not finish it.';

/** What the worker publishes as `QueueJobCompleted` and `QueueJobError`, for whichever process has the user's sockets. */
export interface JobNews {
  userId: string;
  job: JobView;
}

export const queueModules = (redisUrl: string): DynamicModule[] => [
  // BullMQ waits for Redis as long as it takes, and wants connections that do so, too.
  BullModule.forRoot({ connection: { url: redisUrl, maxRetriesPerRequest: null }, prefix: `${PREFIX}-bull` }),
  BullModule.registerQueue({ name: QUEUE }),
];
