import { type ChildProcess, spawn } from 'node:child_process';
import type { ChildAnswer, ChildQuestion, Scenario, Stats } from './child-main.js';
import { Peer, type PeerOptions } from './peer.js';
import { argumentsFor } from './program.js';
import { PATIENCE_MS, Stopwatch, watchProcess } from './stopwatch.js';

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** What the process wrote to stderr: the text of an error that killed it. */
  stderr: string;
}

/**
 * An application in a process of its own, without a handler of ours for what nobody caught: there, as in production, one
 * unhandled rejection is the end.
 */
export class ChildApp {
  readonly exited: Promise<Exit>;
  exit: Exit | undefined;
  port = 0;
  readonly #peers: Peer[] = [];
  /** Of the questions under way, the one asked first at the front: the child answers in this order. */
  readonly #askers: ((answer: ChildAnswer) => void)[] = [];

  private constructor(readonly process: ChildProcess) {
    let stderr = '';
    watchProcess(process);
    process.on('message', (message) => this.#askers.shift()?.(message as ChildAnswer));
    process.stderr?.on('data', (data: Buffer) => (stderr += data.toString()));
    this.exited = new Promise((resolve) => {
      process.once('close', (code, signal) => resolve((this.exit = { code, signal, stderr })));
    });
  }

  static async start(scenario: Scenario = 'plain'): Promise<ChildApp> {
    const child = new ChildApp(
      spawn(process.execPath, ['--expose-gc', ...argumentsFor('child-main'), scenario], {
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
        env: { PATH: process.env['PATH'] },
      }),
    );
    child.port = (await child.#answer()).port;
    return child;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}/ws`;
  }

  async connect(options?: PeerOptions): Promise<Peer> {
    const peer = await Peer.open(this.url, options);
    this.#peers.push(peer);
    return peer;
  }

  async ask(question: ChildQuestion): Promise<ChildAnswer> {
    const answer = this.#answer();
    this.process.send(question, () => undefined); // to an application that is gone: the answer says so
    return answer;
  }

  /** How the server sees itself; also proves that the process lives. */
  async stats(): Promise<Stats> {
    return (await this.ask('stats')).stats as Stats;
  }

  /**
   * Asks again until it is so: what the peer did reaches the server in its own time.
   * @param promisedMs how soon it has to be, where the product promises that
   */
  async untilStats(isTrue: (stats: Stats) => boolean, promisedMs = PATIENCE_MS): Promise<Stats> {
    const watch = new Stopwatch();
    for (;;) {
      const stats = await this.stats();
      if (isTrue(stats)) return stats;
      if (watch.isOver(promisedMs)) throw new Error(`It never came to that: ${JSON.stringify(stats)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async stop(): Promise<void> {
    for (const peer of this.#peers) peer.terminate();
    if (!this.exit) this.process.kill('SIGKILL');
    await this.exited;
  }

  #answer(): Promise<ChildAnswer> {
    return new Promise((resolve, reject) => {
      const failed = ({ code, signal, stderr }: Exit): void =>
        reject(new Error(`The application is gone (${code ?? signal}): ${stderr}`));
      if (this.exit) return failed(this.exit);
      void this.exited.then(failed);
      this.#askers.push(resolve);
    });
  }
}
