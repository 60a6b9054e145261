import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { watchProcess } from './stopwatch.js';
import { TcpProxy } from './tcp-proxy.js';
import { until } from './until.js';

/** True when there is a redis-server to test with; REQUIRE_REDIS makes its absence a failure. */
export function hasRedis(): boolean {
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    if (process.env['REQUIRE_REDIS']) throw new Error('There is no redis-server: run "apt-get install redis-server".');
    return false;
  }
}

const handedOut = new Set<number>();
/**
 * Each Jest worker has ports of its own. A test that kills a server comes back to its port later: if another worker's Redis
 * Cluster had it meanwhile, nodes of this one went over to that one.
 */
const PORTS = 1_000;
const FIRST_PORT = 20_000 + (Number(process.env['JEST_WORKER_ID'] ?? 0) % 10) * PORTS;

/** A port below those the kernel gives to outgoing connections, which could take it before the server does. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS);
    if (handedOut.has(port)) continue;
    handedOut.add(port);
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  const isListening = await Promise.race([
    once(server, 'listening').then(() => true),
    new Promise<boolean>((resolve) => server.once('error', () => resolve(false))),
  ]);
  if (isListening) await new Promise((resolve) => server.close(resolve));
  return isListening;
}

/** A real redis-server of a test's own, in a folder of its own. */
export class TestRedis {
  #process: ChildProcess | undefined;
  readonly #folder = mkdtempSync(join(tmpdir(), 'pxl-redis-'));

  private constructor(
    readonly port: number,
    private readonly settings: string[],
  ) {}

  static async start(settings: string[] = []): Promise<TestRedis> {
    const redis = new TestRedis(await freePort(), settings);
    await redis.start();
    return redis;
  }

  /** A port on which nothing listens yet: `start()` makes it listen. */
  static async reserve(settings: string[] = []): Promise<TestRedis> {
    return new TestRedis(await freePort(), settings);
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** How the user `app` connects: without a ready check, as ioredis writes to the console when it may not ask for INFO. */
  get asApp() {
    return { host: '127.0.0.1', port: this.port, username: 'app', password: 'secret', enableReadyCheck: false };
  }

  async start(): Promise<void> {
    const { port, settings } = this;
    const always = ['--port', String(port), '--bind', '127.0.0.1', '--dir', this.#folder, '--daemonize', 'no'];
    const child = spawn('redis-server', [...always, '--save', '', ...settings], { stdio: 'ignore' });
    watchProcess(child);
    this.#process = child;
    await this.#ready();
  }

  /** Ends without a word; `forgets` removes what it had written to disk. */
  async kill({ forgets = true } = {}): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
    if (forgets) rmSync(join(this.#folder, 'appendonlydir'), { recursive: true, force: true });
  }

  freeze(): void {
    this.#process?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#process?.kill('SIGCONT');
  }

  /** Runs one command on a connection of its own. */
  async run(command: string, ...args: (string | Buffer | number)[]): Promise<unknown> {
    const client = new Redis(this.port, '127.0.0.1', {
      lazyConnect: true,
      retryStrategy: () => null,
      disconnectTimeout: 10,
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      const reply = await client.call(command, ...args);
      await client.quit();
      return reply;
    } finally {
      client.disconnect();
    }
  }

  async stop(): Promise<void> {
    this.thaw();
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #ready(): Promise<void> {
    await until(() =>
      this.run('PING').then(
        () => true,
        () => false,
      ),
    );
  }
}

/** The slots of the masters of a Redis Cluster. */
const RANGES = [
  [0, 5_460],
  [5_461, 10_922],
  [10_923, 16_383],
] as const;

/** Three masters that share the slots of a Redis Cluster; `isProxied`: they name their proxies as their addresses. */
export async function startRedisCluster({ isProxied = false, hasReplicas = false } = {}): Promise<{
  nodes: TestRedis[];
  /** One of each master, in the same order. */
  replicas: TestRedis[];
  proxies: TcpProxy[];
  stop(): Promise<void>;
}> {
  const settings = [
    '--cluster-enabled',
    'yes',
    '--cluster-node-timeout',
    '2000',
    '--cluster-require-full-coverage',
    'no',
  ];
  // Their bus port would be the port plus 10,000, free or not.
  const busPorts = [await freePort(), await freePort(), await freePort()];
  const nodes = await Promise.all(
    busPorts.map((busPort) => TestRedis.start([...settings, '--cluster-port', String(busPort)])),
  );
  const proxies = isProxied ? await Promise.all(nodes.map(({ port }) => TcpProxy.start(port))) : [];
  for (const [index, { port }] of proxies.entries()) {
    await nodes[index]?.run('CONFIG', 'SET', 'cluster-announce-ip', '127.0.0.1', 'cluster-announce-port', port);
  }
  const [first] = nodes as [TestRedis];
  for (const [index, node] of nodes.entries()) {
    const [from, to] = RANGES[index] as readonly [number, number];
    await node.run('CLUSTER', 'ADDSLOTSRANGE', from, to);
    if (node !== first) await node.run('CLUSTER', 'MEET', '127.0.0.1', first.port, busPorts[0] as number);
  }
  for (const node of nodes) {
    await until(async () => {
      const info = String(await node.run('CLUSTER', 'INFO'));
      return info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:3');
    });
  }
  const replicas = hasReplicas ? await Promise.all(nodes.map((master) => startReplica(master, settings))) : [];
  const stop = async (): Promise<void> => {
    await Promise.all(replicas.map((replica) => replica.stop()));
    await Promise.all(proxies.map((proxy) => proxy.stop()));
    await Promise.all(nodes.map((node) => node.stop()));
  };
  return { nodes, replicas, proxies, stop };
}

async function startReplica(master: TestRedis, settings: readonly string[]): Promise<TestRedis> {
  const busPort = String(await freePort());
  const replica = await TestRedis.start([
    ...settings,
    '--cluster-port',
    busPort,
    '--cluster-replica-validity-factor',
    '0',
  ]);
  const id = String(await master.run('CLUSTER', 'MYID'));
  const [, masterBusPort = ''] = /@(\d+)[^\n]*myself/.exec(String(await master.run('CLUSTER', 'NODES'))) ?? [];
  await replica.run('CLUSTER', 'MEET', '127.0.0.1', master.port, masterBusPort);
  const isTrue = async (command: string, pattern: string, ...args: string[]): Promise<boolean> =>
    String(await replica.run(command, ...args).catch(() => '')).includes(pattern);
  await until(() => isTrue('CLUSTER', 'OK', 'REPLICATE', id));
  await until(() => isTrue('INFO', 'master_link_status:up', 'replication'));
  return replica;
}

/** The master that serves a key, as long as no slot has moved. */
export async function ownerOf(nodes: readonly TestRedis[], key: string): Promise<number> {
  const slot = Number(await nodes[0]?.run('CLUSTER', 'KEYSLOT', key));
  return RANGES.findIndex(([, to]) => slot <= to);
}

/** Moves the slot of a key from its first master to the next, with all keys in it. */
export async function moveSlot(nodes: readonly TestRedis[], key: string): Promise<void> {
  const owner = await ownerOf(nodes, key);
  const slot = Number(await nodes[0]?.run('CLUSTER', 'KEYSLOT', key));
  const ids = await Promise.all(nodes.map(async (node) => String(await node.run('CLUSTER', 'MYID'))));
  const target = (owner + 1) % nodes.length;
  const [from, to] = [nodes[owner] as TestRedis, nodes[target] as TestRedis];
  await to.run('CLUSTER', 'SETSLOT', slot, 'IMPORTING', ids[owner] as string);
  await from.run('CLUSTER', 'SETSLOT', slot, 'MIGRATING', ids[target] as string);
  for (;;) {
    const keys = (await from.run('CLUSTER', 'GETKEYSINSLOT', slot, 100)) as string[];
    if (keys.length === 0) break;
    await from.run('MIGRATE', '127.0.0.1', to.port, '', 0, 5_000, 'KEYS', ...keys);
  }
  // The new owner first: https://redis.io/docs/latest/commands/cluster-setslot
  for (const node of [to, from, ...nodes]) await node.run('CLUSTER', 'SETSLOT', slot, 'NODE', ids[target] as string);
}
