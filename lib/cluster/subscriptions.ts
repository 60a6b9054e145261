import type { RedisConnection } from './redis-connections.js';

/** Channels of one SUBSCRIBE after a reconnect: 50,000 in one command would hold up everything else. */
const BATCH = 1_000;

interface Waiting {
  channel: string;
  resolve: () => void;
}

/**
 * The channels this node wants, and the way from those it has to those: changes of one turn go out in one command, one
 * command at a time, so that a join and a leave of the same room can't overtake each other.
 */
export class Subscriptions {
  readonly #wanted = new Set<string>();
  readonly #held = new Set<string>();
  /** Unwanted, and perhaps still held: UNSUBSCRIBE failed, and it isn't known whether this connection is a new one. */
  readonly #stray = new Set<string>();
  /** Where the two may differ: a change costs no look at the others. */
  readonly #dirty = new Set<string>();
  #waiting: Waiting[] = [];
  #working: Promise<boolean> | undefined;

  constructor(
    private readonly connection: RedisConnection,
    private readonly isSharded: (channel: string) => boolean,
    /** Told of what could not be subscribed; mostly the connection broke. */
    private readonly failed: (error: Error) => void = () => undefined,
  ) {}

  /** Resolves when the channel is subscribed, or at once while there is no connection: `restore()` will see to it. */
  add(channel: string): Promise<void> {
    this.#wanted.add(channel);
    this.#dirty.add(channel);
    if (this.connection.status !== 'ready') return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push({ channel, resolve });
      void this.#reconcile();
    });
  }

  /** Everybody who waits for a channel goes on: `restore()` will see to it. */
  waitNoLonger(): void {
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  remove(channel: string): void {
    if (!this.#wanted.delete(channel)) return;
    this.#dirty.add(channel);
    void this.#reconcile();
  }

  wants(channel: string): boolean {
    return this.#wanted.has(channel);
  }

  /** Wants them without asking: before the first connection. */
  want(...channels: string[]): void {
    for (const channel of channels) this.#wanted.add(channel);
  }

  /** A new connection holds nothing. Resolves when it holds everything wanted; false when it broke before that. */
  async restore(): Promise<boolean> {
    await this.#working;
    for (const channel of this.#held) if (!this.#wanted.has(channel)) this.#stray.add(channel);
    this.#held.clear();
    for (const channel of [...this.#wanted, ...this.#stray]) this.#dirty.add(channel);
    return this.#reconcile();
  }

  /** @returns false when the connection broke */
  #reconcile(): Promise<boolean> {
    this.#working ??= this.#work();
    return this.#working;
  }

  async #work(): Promise<boolean> {
    await Promise.resolve(); // the rest of this turn's changes
    let isComplete = true;
    while (isComplete) {
      const changes = take(this.#dirty, BATCH);
      if (changes.length === 0) break;
      try {
        await this.#change(
          changes.filter((channel) => this.#wanted.has(channel) && !this.#held.has(channel)),
          changes.filter((channel) => !this.#wanted.has(channel) && this.#mayHold(channel)),
        );
        this.#release(({ channel }) => this.#held.has(channel));
      } catch (error) {
        this.failed(error as Error);
        for (const channel of changes) this.#dirty.add(channel);
        isComplete = false; // the connection broke: restore() begins anew
      }
    }
    this.#working = undefined; // in the turn of the last look: a change from here on begins anew
    this.#release(() => true);
    return isComplete;
  }

  async #change(missing: string[], extra: string[]): Promise<void> {
    const [sharded, plain] = split(missing, this.isSharded);
    const [shardedExtra, plainExtra] = split(extra, this.isSharded);
    await Promise.all([
      plain.length > 0 && this.connection.subscribe(...plain),
      plainExtra.length > 0 && this.connection.unsubscribe(...plainExtra),
      // One command a channel: those of different slots can't share one.
      ...sharded.map((channel) => this.connection.ssubscribe(channel)),
      ...shardedExtra.map((channel) => this.connection.sunsubscribe(channel)),
    ]);
    for (const channel of missing) this.#held.add(channel);
    for (const channel of [...missing, ...extra]) this.#stray.delete(channel);
    for (const channel of extra) this.#held.delete(channel);
  }

  #mayHold(channel: string): boolean {
    return this.#held.has(channel) || this.#stray.has(channel);
  }

  #release(isDone: (waiting: Waiting) => boolean): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const one of waiting) {
      if (isDone(one)) one.resolve();
      else this.#waiting.push(one);
    }
  }
}

function take(set: Set<string>, count: number): string[] {
  const taken: string[] = [];
  for (const item of set) {
    if (taken.length === count) break;
    taken.push(item);
    set.delete(item);
  }
  return taken;
}

function split(channels: string[], test: (channel: string) => boolean): [yes: string[], no: string[]] {
  const yes: string[] = [];
  const no: string[] = [];
  for (const channel of channels) (test(channel) ? yes : no).push(channel);
  return [yes, no];
}
