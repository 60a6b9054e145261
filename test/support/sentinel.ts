import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort, TestRedis } from './redis.js';
import { watchProcess } from './stopwatch.js';
import { until } from './until.js';

export const MASTER = 'pxl-test';

/** A redis-server as Sentinel, which moves the name of the master to the replica when the master dies. */
export class Sentinel {
  readonly #folder = mkdtempSync(join(tmpdir(), 'pxl-sentinel-'));
  #process: ChildProcess | undefined;

  constructor(readonly port: number) {}

  start(masterPort: number): void {
    const file = join(this.#folder, 'sentinel.conf');
    const lines = [
      `port ${this.port}`,
      'bind 127.0.0.1',
      `dir ${this.#folder}`,
      `sentinel monitor ${MASTER} 127.0.0.1 ${masterPort} 1`,
      `sentinel down-after-milliseconds ${MASTER} 1000`,
      `sentinel failover-timeout ${MASTER} 5000`,
    ];
    writeFileSync(file, `${lines.join('\n')}\n`);
    this.#process = spawn('redis-server', [file, '--sentinel'], { stdio: 'ignore' });
    watchProcess(this.#process);
  }

  freeze(): void {
    this.#process?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#process?.kill('SIGCONT');
  }

  /** What the Sentinel itself answers, on a connection of its own. */
  async ask(...words: string[]): Promise<unknown> {
    const client = new Redis(this.port, '127.0.0.1', {
      lazyConnect: true,
      retryStrategy: () => null,
      disconnectTimeout: 10,
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return await client.call('SENTINEL', ...words);
    } catch {
      return undefined;
    } finally {
      client.disconnect();
    }
  }

  async stop(): Promise<void> {
    this.#process?.kill('SIGKILL');
    if (this.#process?.exitCode === null && this.#process.signalCode === null) await once(this.#process, 'exit');
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** A master and its replica under a Sentinel. What comes after `deafen()`, the replica doesn't have when it is promoted. */
export class SentinelPair {
  private constructor(
    readonly master: TestRedis,
    readonly replica: TestRedis,
    private readonly sentinel: Sentinel,
  ) {}

  static async start(): Promise<SentinelPair> {
    const master = await TestRedis.start(['--repl-diskless-sync-delay', '0']);
    const replica = await TestRedis.start(['--replicaof', '127.0.0.1', String(master.port)]);
    const pair = new SentinelPair(master, replica, new Sentinel(await freePort()));
    pair.sentinel.start(master.port);
    const isKnown = async (): Promise<boolean> =>
      String(await pair.sentinel.ask('replicas', MASTER)).includes(String(replica.port));
    await until(isKnown).catch(async (error: unknown) => {
      await pair.stop();
      throw error;
    });
    return pair;
  }

  /** How an application connects. */
  get redis(): { sentinels: { host: string; port: number }[]; name: string } {
    return { sentinels: [{ host: '127.0.0.1', port: this.sentinel.port }], name: MASTER };
  }

  async deafen(): Promise<void> {
    const nobody = await TestRedis.reserve();
    await this.replica.run('REPLICAOF', '127.0.0.1', nobody.port);
  }

  async stop(): Promise<void> {
    await this.sentinel.stop();
    await this.replica.stop();
    await this.master.stop();
  }
}
