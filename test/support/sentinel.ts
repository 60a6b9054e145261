import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';

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
