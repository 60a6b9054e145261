import type { Clock } from '../clock.js';
import { guarded } from '../guarded.js';
import { errorOf } from '../protocol/thrown.js';
import { failureOf } from './redis-failure.js';
import type { Way } from './transport.js';
import { WaitingList } from './waiting-list.js';

/** Channels of one SUBSCRIBE after a reconnect: 50,000 in one command would hold up everything else. */
const BATCH = 1_000;
/** How long `add()` waits for a subscription that Redis refuses, in ms: less than a handler may take. */
const PATIENCE_MS = 5_000;
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5_000;

/** A channel whose last command Redis refused. It is tried again alone: others must not fail with it. */
interface Refused {
  failures: number;
  tryNoMore(): void;
}

/** What became of a command. */
interface Outcome {
  channels: readonly string[];
  error: Error | undefined;
}

export interface SubscriptionsOptions {
  clock: Clock;
  random(): number;
  /** Notified of what could not be subscribed. */
  failed(error: Error): void;
}

/**
 * The channels this node wants, and the way from those it has to those: changes of one turn go out in one command, one
 * command at a time, so that a join and a leave of the same room can't overtake each other.
 */
export class Subscriptions {
  readonly #wanted = new Set<string>();
  readonly #held = new Set<string>();
  /** Without them this node isn't ready. */
  readonly #vital = new Set<string>();
  /** Unwanted, and perhaps still held: UNSUBSCRIBE failed, and it isn't known whether this connection is a new one. */
  readonly #stray = new Set<string>();
  /** Where the two may differ: a change costs no look at the others. */
  readonly #dirty = new Set<string>();
  readonly #refused = new Map<string, Refused>();
  readonly #waiting: WaitingList;
  #working: Promise<boolean> | undefined;
  #isRestored = false;

  constructor(
    private readonly way: Pick<Way, 'state' | 'sharesCommands' | 'subscribe' | 'unsubscribe'>,
    private readonly options: SubscriptionsOptions,
  ) {
    this.#waiting = new WaitingList(options.clock, options.failed);
  }

  /**
   * Resolves when the channel is subscribed, or at once while there is no connection: `restore()` will see to it. What Redis
   * refuses is tried again for as long as it is wanted. A failure is no unhandled rejection when nobody asks.
   * @throws {PeerError} UNAVAILABLE when it isn't subscribed within 5 s
   */
  add(channel: string): Promise<void> {
    this.#wanted.add(channel);
    this.#dirty.add(channel);
    if (this.way.state !== 'up') return Promise.resolve();
    const subscribed = this.#waiting.wait(channel, PATIENCE_MS);
    void this.#reconcile();
    return subscribed;
  }

  /** Everybody who waits for a channel goes on: `restore()` will see to it. */
  waitNoLonger(): void {
    this.#waiting.releaseAll();
  }

  remove(channel: string): void {
    if (!this.#wanted.delete(channel)) return;
    this.#vital.delete(channel);
    this.#retryNoMore(channel);
    this.#dirty.add(channel);
    if (this.way.state === 'up') void this.#reconcile(); // else a new connection holds nothing
  }

  wants(channel: string): boolean {
    return this.#wanted.has(channel);
  }

  /** Wants them without asking, before the first connection, and can't be without them. */
  want(...channels: string[]): void {
    for (const channel of channels) {
      this.#wanted.add(channel);
      this.#vital.add(channel);
    }
  }

  /** Every channel that is wanted. */
  get wanted(): Iterable<string> {
    return this.#wanted;
  }

  /** True when everything that was wanted when the connection was new is held, but for what Redis refuses and can be missed. */
  get isComplete(): boolean {
    return this.#isRestored && [...this.#vital].every((channel) => this.#held.has(channel));
  }

  /**
   * A new connection holds nothing. Resolves when it holds what is wanted, except for what Redis refuses: that is tried again
   * by itself. False when the connection broke before that.
   */
  async restore(): Promise<boolean> {
    this.#isRestored = false;
    await this.#working;
    for (const channel of this.#held) if (!this.#wanted.has(channel)) this.#stray.add(channel);
    this.#held.clear();
    for (const channel of this.#refused.keys()) this.#retryNoMore(channel);
    for (const channel of [...this.#wanted, ...this.#stray]) this.#dirty.add(channel);
    return (this.#isRestored = await this.#reconcile());
  }

  /** Nothing is tried again any more. */
  stop(): void {
    for (const channel of this.#refused.keys()) this.#retryNoMore(channel);
    this.waitNoLonger();
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
      const outcomes = await this.#change(
        changes.filter((channel) => this.#wanted.has(channel) && !this.#held.has(channel)),
        changes.filter((channel) => !this.#wanted.has(channel) && this.#mayHold(channel)),
      );
      for (const { channels, error } of outcomes) if (error && !this.#goesOnAfter(error, channels)) isComplete = false;
      for (const channel of changes)
        if (this.#held.has(channel) || !this.#wanted.has(channel)) this.#waiting.release(channel);
    }
    this.#working = undefined; // in the turn of the last look: a change from here on begins anew
    if (!isComplete && this.way.state !== 'up') this.waitNoLonger();
    return isComplete;
  }

  /** Each failure on its own merits. @returns false when the connection broke: `restore()` begins anew on the next */
  #goesOnAfter(error: Error, channels: readonly string[]): boolean {
    this.options.failed(error);
    const failure = failureOf(error);
    if (failure === 'closed' && this.way.state !== 'up') return false;
    // Asked again it does no harm. A connection that never answers is given up for its silence.
    if (failure === 'timeout') for (const channel of channels) this.#dirty.add(channel);
    else for (const channel of channels) this.#tryAgain(channel, channels.length > 1);
    return true;
  }

  async #change(missing: string[], extra: string[]): Promise<Outcome[]> {
    const { way } = this;
    const outcomes = await Promise.all([
      ...this.#commands(missing).map((channels) => outcomeOf(channels, way.subscribe(channels))),
      ...this.#commands(extra).map((channels) => outcomeOf(channels, way.unsubscribe(channels))),
    ]);
    const isMissing = new Set(missing);
    for (const { channels, error } of outcomes) {
      if (error) continue;
      for (const channel of channels) {
        this.#retryNoMore(channel);
        this.#stray.delete(channel);
        if (isMissing.has(channel)) this.#held.add(channel);
        else this.#held.delete(channel);
      }
    }
    return outcomes;
  }

  /** One for all, but for those that were refused, and those that can't share one. */
  #commands(channels: string[]): string[][] {
    const together: string[] = [];
    const commands: string[][] = [];
    for (const channel of channels) {
      if (this.#refused.has(channel) || !this.way.sharesCommands(channel)) commands.push([channel]);
      else together.push(channel);
    }
    if (together.length > 0) commands.unshift(together);
    return commands;
  }

  /** Alone, and at once where it may not have been its own fault. */
  #tryAgain(channel: string, wasTogether: boolean): void {
    const { failures } = this.#refused.get(channel) ?? { failures: 0 };
    this.#retryNoMore(channel);
    const again = guarded('subscribing', this.options.failed, () => {
      this.#dirty.add(channel);
      return this.#reconcile();
    });
    const ms = wasTogether
      ? 0
      : (0.5 + this.options.random() / 2) * Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures);
    const tryNoMore = this.options.clock.after(ms, again);
    this.#refused.set(channel, { failures: wasTogether ? failures : failures + 1, tryNoMore });
  }

  #retryNoMore(channel: string): void {
    this.#refused.get(channel)?.tryNoMore();
    this.#refused.delete(channel);
  }

  #mayHold(channel: string): boolean {
    return this.#held.has(channel) || this.#stray.has(channel);
  }
}

/** Never rejects. */
function outcomeOf(channels: readonly string[], command: Promise<unknown>): Promise<Outcome> {
  return command.then(
    () => ({ channels, error: undefined }),
    (error: unknown) => ({ channels, error: errorOf(error) }),
  );
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
