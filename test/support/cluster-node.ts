import { type ChildProcess, spawn } from 'node:child_process';
import type { WebSocketOptions } from '../../lib/index.js';
import type { Exit } from './child.js';
import type { Commands, FromNode, HeardEvent, NodeSettings, NodeStatus } from './cluster-node-main.js';
import { Peer } from './peer.js';
import { argumentsFor } from './program.js';
import { PATIENCE_MS, watchProcess } from './stopwatch.js';
import { until } from './until.js';

type Arguments<C extends keyof Commands> = Parameters<Commands[C]>;
type Result<C extends keyof Commands> = Awaited<ReturnType<Commands[C]>>;

interface Asker {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** A node in a process of its own, that a test asks to do things, freezes and kills. */
export class ClusterNode {
  readonly exited: Promise<Exit>;
  /** The application exists, and may be waiting for its Redis. */
  readonly created: Promise<void>;
  /** It listens: it is ready. */
  readonly ready: Promise<void>;
  exit: Exit | undefined;
  port = 0;
  readonly peers: Peer[] = [];
  readonly #askers = new Map<number, Asker>();
  #lastId = 0;

  private constructor(readonly process: ChildProcess) {
    let stderr = '';
    watchProcess(process);
    process.stderr?.on('data', (data: Buffer) => (stderr += data.toString()));
    this.exited = new Promise((resolve) => {
      process.once('close', (code, signal) => {
        this.exit = { code, signal, stderr };
        for (const { reject } of this.#askers.values()) reject(new Error(`The node is gone: ${stderr}`));
        resolve(this.exit);
      });
    });
    let wasCreated: () => void;
    this.created = new Promise((resolve) => (wasCreated = resolve));
    this.ready = new Promise((resolve, reject) => {
      process.on('message', (message: FromNode) => {
        if ('created' in message) return wasCreated();
        if ('failed' in message) return reject(new Error(message.failed));
        if ('port' in message) {
          this.port = message.port;
          return resolve();
        }
        const asker = this.#askers.get(message.id);
        this.#askers.delete(message.id);
        if (message.error === undefined) asker?.resolve(message.result);
        else asker?.reject(new Error(message.error));
      });
      void this.exited.then(() => reject(new Error(`The node is gone: ${stderr}`)));
    });
    this.ready.catch(() => undefined); // whoever awaits it hears of it
  }

  static spawn(options: WebSocketOptions, more: Omit<NodeSettings, 'options'> = {}): ClusterNode {
    const settings: NodeSettings = { options, ...more };
    return new ClusterNode(
      spawn(process.execPath, [...argumentsFor('cluster-node-main'), JSON.stringify(settings)], {
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
        env: { PATH: process.env['PATH'] },
      }),
    );
  }

  static async start(options: WebSocketOptions, more: Omit<NodeSettings, 'options'> = {}): Promise<ClusterNode> {
    const node = ClusterNode.spawn(options, more);
    await node.ready;
    return node;
  }

  call<C extends keyof Commands>(command: C, ...args: Arguments<C>): Promise<Result<C>> {
    if (this.exit) return Promise.reject(new Error('The node is gone.'));
    const id = ++this.#lastId;
    const answer = new Promise<unknown>((resolve, reject) => this.#askers.set(id, { resolve, reject }));
    this.process.send({ id, command, args });
    return answer as Promise<Result<C>>;
  }

  async connect(userId?: string): Promise<Peer> {
    const query = userId === undefined ? '' : `?userId=${encodeURIComponent(userId)}`;
    const peer = await Peer.open(`ws://127.0.0.1:${this.port}/ws${query}`);
    this.peers.push(peer);
    return peer;
  }

  async join(...roomNames: string[]): Promise<Peer> {
    const peer = await this.connect();
    for (const roomName of roomNames) await peer.join(roomName);
    return peer;
  }

  async nodeId(): Promise<string> {
    return (await this.call('status')).nodeId;
  }

  async state(): Promise<NodeStatus['state']> {
    return (await this.call('status')).state;
  }

  async clientIds(): Promise<string[]> {
    return (await this.call('clients')).map(({ clientId }) => clientId);
  }

  /** What its subscribers heard on a channel. */
  async heard(channel: string): Promise<HeardEvent[]> {
    return (await this.call('heard')).filter((event) => event.channel === channel && event.by === 'option');
  }

  /**
   * Resolves when this node knows exactly these clients.
   * @param promisedMs how soon it has to, where the product promises that
   * @returns the milliseconds it took
   */
  async knows(peers: readonly Peer[], promisedMs = PATIENCE_MS): Promise<number> {
    const start = Date.now();
    const wanted = peers
      .map(({ clientId }) => clientId)
      .toSorted()
      .join();
    let known = '';
    await until(async () => (known = (await this.clientIds()).toSorted().join()) === wanted, promisedMs).catch(() => {
      throw new Error(`After ${promisedMs} ms the node knows [${known}], not [${wanted}].`);
    });
    return Date.now() - start;
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.process.kill(signal);
  }

  freeze(): void {
    this.process.kill('SIGSTOP');
  }

  thaw(): void {
    this.process.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    for (const peer of this.peers) peer.terminate();
    if (!this.exit) this.process.kill('SIGKILL');
    await this.exited;
  }
}

/** Starts nodes side by side, and ends all of them. */
export class Fleet {
  readonly nodes: ClusterNode[] = [];

  constructor(
    private readonly options: () => WebSocketOptions,
    private readonly more: () => Omit<NodeSettings, 'options'> = () => ({}),
  ) {}

  spawn(options: WebSocketOptions = {}): ClusterNode {
    const node = ClusterNode.spawn({ ...this.options(), ...options }, this.more());
    this.nodes.push(node);
    return node;
  }

  async start(options: WebSocketOptions = {}): Promise<ClusterNode> {
    const node = this.spawn(options);
    await node.ready;
    return node;
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.splice(0).map((node) => node.stop()));
  }
}
