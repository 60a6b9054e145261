import { ConnectionError, WebSocketClient } from '@scpxl/nestjs-websocket/client';

const RANK = { waiting: 0, active: 1, completed: 2, failed: 2 };

/** The jobs of this browser's user, as the server and the worker tell of them. `change` is dispatched on every change. */
export class Jobs extends EventTarget {
  isConnected = false;
  /** The last thing that ended, for those who can't see the list. */
  news = '';
  /** True when the server couldn't say which jobs there are. */
  isListMissing = false;
  #jobs = new Map();
  #client;

  constructor() {
    super();
    this.#client = new WebSocketClient({
      url: '/ws',
      reconnect: { initial: true, minDelayMs: 200, maxDelayMs: 5_000 },
      events: {
        onConnected: () => void this.#connected(),
        onDisconnected: () => this.#changed(() => (this.isConnected = false)),
        onError: () => undefined, // the status line says it
      },
    });
    this.#client.on('primes', 'progress', (job) => this.#take(job));
    this.#client.on('primes', 'completed', (job) => this.#ended(job, 'is done'));
    this.#client.on('primes', 'failed', (job) => this.#ended(job, 'has failed'));
  }

  /** The newest first. */
  get list() {
    return [...this.#jobs.values()].toSorted((a, b) => Number(b.jobId) - Number(a.jobId));
  }

  connect() {
    this.#client.connectToServer().catch(() => undefined); // it goes on trying
  }

  async start(limit, mustFail) {
    this.#take(await this.#client.request('primes', 'start', { limit, mustFail }));
  }

  /** What was told while there was no connection is asked for. */
  async #connected() {
    const news = { isConnected: true, isListMissing: false };
    try {
      for (const job of await this.#client.request('primes', 'list')) this.#take(job);
    } catch (error) {
      if (error instanceof ConnectionError) return; // lost again: the next connection asks again
      news.isListMissing = true;
    }
    this.#changed(() => Object.assign(this, news));
  }

  /** The reply to `start` may come after the worker's first word: what is further on counts. */
  #take(job) {
    const known = this.#jobs.get(job.jobId);
    const isOlder = known && (RANK[known.state] > RANK[job.state] || known.percent > job.percent);
    if (!isOlder) this.#changed(() => this.#jobs.set(job.jobId, job));
  }

  #ended(job, how) {
    this.news = `Job ${job.jobId} ${how}.`;
    this.#take(job);
  }

  #changed(change) {
    change();
    this.dispatchEvent(new Event('change'));
  }
}
