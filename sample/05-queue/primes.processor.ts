import { setImmediate } from 'node:timers/promises';
import { OnWorkerEvent, Processor, WorkerHost } from '@nestjs/bullmq';
import { Logger, type OnModuleDestroy } from '@nestjs/common';
import { WebSocketRedisSubscriberEvent as Event, WebSocketService } from '@scpxl/nestjs-websocket';
import { DelayedError, type Job } from 'bullmq';
import { countPrimes, type Step } from './primes.js';
import { FAILED_AS_TOLD, type JobNews, type JobView, type PrimesJob, QUEUE, sentenceOf } from './queue.js';

type CountJob = Job<PrimesJob, number>;

/** Works in a process without sockets; `WebSocketService` reaches the users all the same. */
@Processor(QUEUE, { concurrency: 2 })
export class PrimesProcessor extends WorkerHost implements OnModuleDestroy {
  readonly #logger = new Logger(PrimesProcessor.name);
  #isLeaving = false;

  constructor(private readonly webSocketService: WebSocketService) {
    super();
  }

  /** Before the connections close: the worker still has to say what became of its jobs. */
  async onModuleDestroy(): Promise<void> {
    this.#isLeaving = true;
    await this.worker.close();
  }

  override async process(job: CountJob, token?: string): Promise<number> {
    const { limit, userId, mustFail } = job.data;
    let found = 0;
    for (const step of countPrimes(limit)) {
      ({ found } = step);
      await job.updateProgress(step);
      const data = viewOf(job, 'active', step);
      await this.#tell(this.webSocketService.sendToUsers([userId], { type: 'primes', action: 'progress', data }));
      if (mustFail && step.percent >= 50) throw new Error(FAILED_AS_TOLD);
      if (this.#isLeaving && step.percent < 100) await giveBack(job, token);
      await setImmediate(); // other jobs, and the lock of this one
    }
    return found;
  }

  @OnWorkerEvent('completed')
  async completed(job: CountJob, found: number): Promise<void> {
    await this.#publish(Event.QueueJobCompleted, job, viewOf(job, 'completed', { percent: 100, found }));
  }

  @OnWorkerEvent('failed')
  async failed(job: CountJob | undefined, { message }: Error): Promise<void> {
    if (!job) return; // its record is gone, and with it the user to tell
    await this.#publish(Event.QueueJobError, job, {
      ...viewOf(job, 'failed', stepOf(job)),
      error: sentenceOf(message),
    });
  }

  #publish(channel: Event, { data: { userId } }: CountJob, view: JobView): Promise<void> {
    return this.#tell(this.webSocketService.publish(channel, { userId, job: view } satisfies JobNews));
  }

  /** A job doesn't fail because nobody could be told of it: its record is in the queue, for pages that ask. */
  async #tell(sent: Promise<void>): Promise<void> {
    try {
      await sent;
    } catch (error) {
      this.#logger.warn(`Nobody could be told: ${(error as Error).message}`);
    }
  }
}

/** Leaves a job to another worker, or to this one after its restart. */
async function giveBack(job: CountJob, token: string | undefined): Promise<never> {
  await job.moveToDelayed(Date.now(), token);
  throw new DelayedError();
}

const viewOf = ({ id, data }: CountJob, state: JobView['state'], { percent, found }: Step): JobView => ({
  jobId: String(id),
  limit: data.limit,
  state,
  percent,
  found,
});

const stepOf = ({ progress }: CountJob): Step =>
  typeof progress === 'object' ? (progress as Step) : { percent: 0, found: 0 };
