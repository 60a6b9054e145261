import { InjectQueue } from '@nestjs/bullmq';
import { Injectable, UsePipes, ValidationPipe } from '@nestjs/common';
import { MessageBody, WsException } from '@nestjs/websockets';
import { ConnectedClient, WebSocketService, WsGateway, WsRoute } from '@scpxl/nestjs-websocket';
import type { Job, JobType, Queue } from 'bullmq';
import { IsBoolean, IsInt, Max, Min } from 'class-validator';
import { type JobView, type PrimesJob, QUEUE, sentenceOf } from './queue.js';

const MAX_UNFINISHED = 5;
const SHOWN = 100;
/** `delayed` is a job that a leaving worker gave back. */
const UNFINISHED = ['waiting', 'active', 'delayed'] as const;

const LIMIT = { message: 'The limit is a whole number from 2 to 1,000,000,000.' };

class StartDto {
  @IsInt(LIMIT)
  @Min(2, LIMIT)
  @Max(1_000_000_000, LIMIT)
  limit!: number;

  @IsBoolean()
  mustFail!: boolean;
}

/** What the page asks for. */
@Injectable()
@WsGateway('primes')
@UsePipes(new ValidationPipe({ transform: true, whitelist: true, stopAtFirstError: true }))
export class PrimesGateway {
  constructor(
    @InjectQueue(QUEUE) private readonly queue: Queue<PrimesJob, number>,
    private readonly webSocketService: WebSocketService,
  ) {}

  /** Puts a job into the queue. What becomes of it is told by the worker. */
  @WsRoute('start')
  async start(
    @MessageBody() { limit, mustFail }: StartDto,
    @ConnectedClient() client: ConnectedClient,
  ): Promise<JobView> {
    const userId = idOf(client);
    const unfinished = await this.#jobsOf(userId, UNFINISHED);
    if (unfinished.length >= MAX_UNFINISHED) {
      throw new WsException({ code: 'TOO_MANY_JOBS', message: 'Five jobs at a time: wait until one is done.' });
    }
    const kept = { count: SHOWN };
    const data = { limit, mustFail, userId };
    const job = await this.queue.add('count', data, { removeOnComplete: kept, removeOnFail: kept });
    const view: JobView = { jobId: String(job.id), limit, state: 'waiting', percent: 0, found: 0 };
    // For the user's other tabs.
    await this.webSocketService.sendToUsers([userId], { type: 'primes', action: 'progress', data: view });
    return view;
  }

  /** The user's own jobs, the newest first: for a page that was loaded or came back. */
  @WsRoute('list')
  async list(@ConnectedClient() client: ConnectedClient): Promise<JobView[]> {
    const jobs = await this.#jobsOf(idOf(client), [...UNFINISHED, 'completed', 'failed']);
    const views = await Promise.all(jobs.map(viewOf));
    return views.toSorted((a, b) => Number(b.jobId) - Number(a.jobId));
  }

  async #jobsOf(userId: string, states: readonly JobType[]): Promise<Job<PrimesJob>[]> {
    const jobs = await this.queue.getJobs([...states], 0, SHOWN - 1);
    return jobs.filter(({ data }) => data.userId === userId);
  }
}

/** Everybody here has one: `auth.authenticate` lets nobody else in. */
const idOf = ({ user }: ConnectedClient): string => String(user?.userId);

async function viewOf(job: Job<PrimesJob>): Promise<JobView> {
  const state = await job.getState();
  const progress = typeof job.progress === 'object' ? (job.progress as Partial<JobView>) : {};
  return {
    jobId: String(job.id),
    limit: job.data.limit,
    state: state === 'completed' || state === 'failed' || state === 'active' ? state : 'waiting',
    percent: progress.percent ?? 0,
    found: progress.found ?? 0,
    ...(state === 'failed' ? { error: sentenceOf(job.failedReason) } : {}),
  };
}
