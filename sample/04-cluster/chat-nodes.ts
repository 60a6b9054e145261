import type { ChildProcess } from 'node:child_process';
import { Subject } from 'rxjs';
import { endChild, firstMessage, hasEnded, startChild } from './child.js';

/** `stopped` after SIGTERM, `killed` after SIGKILL, `crashed` when nobody asked for it. */
export type NodeState = 'starting' | 'running' | 'stopping' | 'stopped' | 'killed' | 'crashed';

export interface ChatNode {
  name: string;
  state: NodeState;
  /** 0 until it was known once. It comes back on the same one. */
  port: number;
  pid: number | undefined;
}

interface Entry extends ChatNode {
  child: ChildProcess | undefined;
  /** How it ends, when it was asked to. */
  end: 'stopped' | 'killed' | undefined;
}

/** A node that doesn't leave by itself by then is killed: its drain takes 2.5 s at most. */
const PATIENCE_MS = 3_500;

/** The processes that serve the chat. */
export class ChatNodes {
  /** Something about a node changed. */
  readonly changes = new Subject<ChatNode>();
  readonly #entries: Entry[];
  #turn = 0;

  constructor(
    names: readonly string[],
    private readonly env: { HOST: string; REDIS_URL: string },
  ) {
    this.#entries = names.map((name) => ({
      name,
      state: 'stopped',
      port: 0,
      pid: undefined,
      child: undefined,
      end: undefined,
    }));
  }

  list(): ChatNode[] {
    return this.#entries.map(({ name, state, port, pid }) => ({ name, state, port, pid }));
  }

  /** The port for the next connection: the running nodes take turns. */
  nextPort(): number | undefined {
    const running = this.#entries.filter(({ state }) => state === 'running');
    return running[this.#turn++ % running.length]?.port;
  }

  async startAll(): Promise<void> {
    await Promise.all(this.#entries.map(({ name }) => this.start(name)));
  }

  /** Resolves once the node serves clients. A no-op for one that runs. */
  async start(name: string): Promise<void> {
    const entry = this.#find(name);
    if (entry.child && !hasEnded(entry.child)) return;
    const child = startChild(new URL('./node.js', import.meta.url), {
      ...this.env,
      NODE_NAME: name,
      PORT: String(entry.port),
    });
    entry.child = child;
    entry.pid = child.pid;
    entry.end = undefined;
    this.#change(entry, 'starting');
    child.once('exit', () => {
      entry.pid = undefined;
      this.#change(entry, entry.end ?? 'crashed');
    });
    const { port } = await firstMessage<{ port: number }>(child);
    entry.port = port;
    if (entry.state === 'starting') this.#change(entry, 'running');
  }

  /** SIGTERM: the node says goodbye, and its clients are told to come back elsewhere. */
  async stop(name: string): Promise<void> {
    const entry = this.#find(name);
    if (!entry.child || hasEnded(entry.child) || entry.state === 'stopping') return;
    entry.end = 'stopped';
    this.#change(entry, 'stopping');
    await endChild(entry.child, PATIENCE_MS);
  }

  /** SIGKILL: the node is gone without a word, as in a power cut. */
  kill(name: string): void {
    const entry = this.#find(name);
    if (!entry.child || hasEnded(entry.child)) return;
    entry.end = 'killed';
    entry.child.kill('SIGKILL');
  }

  async stopAll(): Promise<void> {
    await Promise.all(
      this.#entries.map(async (entry) => {
        entry.end = 'stopped';
        if (entry.child) await endChild(entry.child, PATIENCE_MS);
      }),
    );
  }

  #find(name: string): Entry {
    const entry = this.#entries.find((one) => one.name === name);
    if (!entry) throw new Error(`There is no node "${name}".`);
    return entry;
  }

  #change(entry: Entry, state: NodeState): void {
    entry.state = state;
    this.changes.next(entry);
  }
}
