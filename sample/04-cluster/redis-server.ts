import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { type Stage, StartError } from './stage.js';

/** The URL of the Redis at `REDIS_URL`, else of one of our own for as long as the stage stands, which keeps nothing. */
export async function findOrStartRedis(stage: Stage): Promise<string> {
  const given = process.env['REDIS_URL'];
  if (!given) return startRedis(stage);
  const flaw = await flawOf(given);
  if (flaw) throw new StartError(`There is no Redis at REDIS_URL (${flaw}). Start it, or leave REDIS_URL out.`);
  return given;
}

async function startRedis(stage: Stage): Promise<string> {
  const [port, folder] = await Promise.all([freePort(), mkdtemp(join(tmpdir(), 'pxl-sample-redis-'))]);
  stage.add(() => rm(folder, { recursive: true, force: true }));
  const settings = { port, bind: '127.0.0.1', dir: folder, save: '', appendonly: 'no' };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  // A process group of its own: Ctrl+C is for the sample, which stops Redis last.
  const child = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'ignore'], detached: true });
  stage.add(() => end(child));
  await ready(child);
  return `redis://127.0.0.1:${port}`;
}

function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let written = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      written = (written + text).slice(-2_000);
      if (written.includes('Ready to accept connections')) resolve();
    });
    child.once('exit', () => reject(new StartError(`redis-server ended at once. It wrote: ${written.trim()}`)));
    child.once('error', (error: NodeJS.ErrnoException) => {
      const isMissing = error.code === 'ENOENT';
      reject(isMissing ? new StartError(MISSING) : new StartError(`redis-server could not be run: ${error.message}`));
    });
  });
}

const MISSING =
  'There is no redis-server on the PATH. Install it (Debian: apt-get install redis-server), or set REDIS_URL.';

async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

/** What keeps a Redis from answering, if anything. */
async function flawOf(url: string): Promise<string | undefined> {
  let redis: Redis | undefined;
  let flaw: string | undefined;
  try {
    redis = new Redis(url, { lazyConnect: true, connectTimeout: 3_000, retryStrategy: () => null });
    // The event says why; the rejection only that there is no connection.
    redis.on('error', (error: NodeJS.ErrnoException) => (flaw = error.code ?? error.message));
    await redis.connect();
    await redis.ping();
    return undefined;
  } catch (error) {
    return flaw ?? (error as Error).message;
  } finally {
    redis?.disconnect();
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
