import type { Clock } from '../clock.js';
import { guarded } from '../guarded.js';
import { type Outcome, outcomeOf } from './outcome.js';
import { failureOf } from './redis-failure.js';
import type { Way } from './transport.js';
import { WaitingList } from './waiting-list.js';

/** How many channels one `SUBSCRIBE` names. 50,000 in one command would hold up everything else. */
const BATCH = 1_000;
/** How long `add()` waits while Redis refuses a subscription, in ms. Shorter than the time that a handler has. */
const PATIENCE_MS = 5_000;
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5_000;

/** A channel that Redis refused. It is tried again alone, so that others don't fail with it. */
interface Refused {
  failures: number;
  tryNoMore(): void;
}

export interface SubscriptionsOptions {
  clock: Clock;
  random(): number;
  /** Gets the channels that couldn't be subscribed. */
  failed(error: Error): void;
}

/**
 * The channels that this node wants and those it has. Changes of one turn become one command, and one command runs at a
 * time: a join and a leave of one room can't overtake each other.
 */
export class Subscriptions {
  readonly #wanted = new Set<string>();
  readonly #held = new Set<string>();
  /** Channels that this node needs to be ready. */
  readonly #vital = new Set<string>();
  /** Unwanted, but perhaps still subscribed: `UNSUBSCRIBE` failed, and the connection may be the same. */
  readonly #stray = new Set<string>();
  /** Channels where wanted and subscribed may differ, so that a change doesn't look at all the others. */
  readonly #dirty = new Set<string>();
  readonly #refused = new Map<string, Refused>();
  readonly #waiting: WaitingList;
  #working: Promise<boolean> | undefined;
  #isRestored = false;
  #renewals = 0;

  constructor(
    private readonly way: Pick<Way, 'state' | 'sharesCommands' | 'subscribe' | 'unsubscribe'>,
    private readonly options: SubscriptionsOptions,
  ) {
    this.#waiting = new WaitingList(options.clock, options.failed);
  }

  /**
   * Subscribes to a channel; without a connection later. Nobody has to handle a rejection.
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

  /** Resolves all calls of `add()` that wait: `restore()` subscribes later. */
  waitNoLonger(): void {
    this.#waiting.releaseAll();
  }

  remove(channel: string): void {
    if (!this.#wanted.delete(channel)) return;
    this.#vital.delete(channel);
    this.#retryNoMore(channel);
    this.#dirty.add(channel);
    if (this.way.state === 'up') void this.#reconcile(); // otherwise, a new connection has no subscriptions
  }

  wants(channel: string): boolean {
    return this.#wanted.has(channel);
  }

  /** Adds the channels that this node needs. Call it before connecting. */
  want(...channels: string[]): void {
    for (const channel of channels) {
      this.#wanted.add(channel);
      this.#vital.add(channel);
    }
  }

  get wanted(): Iterable<string> {
    return this.#wanted;
  }

  /**
   * True when this connection has every channel that was wanted when it opened, except those that Redis refuses and
   * that this node doesn't need.
   */
  get isComplete(): boolean {
    return this.#isRestored && [...this.#vital].every((channel) => this.#held.has(channel));
  }

  /**
   * Subscribes to everything on a new connection. What Redis refuses is tried again later.
   * @returns false if the connection broke
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

  /** Subscribes to sharded channels again: Redis may have ended some, and ioredis doesn't say which. */
  renew(): void {
    for (const channel of this.#held) if (!this.way.sharesCommands(channel)) this.#doubt(channel);
    this.#renewals++;
    if (this.way.state === 'up') void this.#reconcile();
  }

  stop(): void {
    for (const channel of this.#refused.keys()) this.#retryNoMore(channel);
    this.waitNoLonger();
  }

  /** @returns false if the connection broke */
  #reconcile(): Promise<boolean> {
    this.#working ??= this.#work();
    return this.#working;
  }

  async #work(): Promise<boolean> {
    await Promise.resolve(); // collects the rest of this turn's changes
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
    this.#working = undefined; // in the same turn as the last check: a later change starts a new round
    if (!isComplete && this.way.state !== 'up') this.waitNoLonger();
    return isComplete;
  }

  /**
   * Decides by the kind of failure.
   * @returns false if the connection broke: `restore()` starts again on the next one
   */
  #goesOnAfter(error: Error, channels: readonly string[]): boolean {
    this.options.failed(error);
    const failure = failureOf(error);
    if (failure === 'closed' && this.way.state !== 'up') return false;
    // A second attempt does no harm. A connection that never answers is closed for its silence.
    if (failure === 'timeout') for (const channel of channels) this.#dirty.add(channel);
    else for (const channel of channels) this.#tryAgain(channel, channels.length > 1);
    return true;
  }

  async #change(missing: string[], extra: string[]): Promise<Outcome[]> {
    const { way } = this;
    const renewals = this.#renewals;
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
        if (!isMissing.has(channel)) this.#held.delete(channel);
        else if (renewals === this.#renewals || way.sharesCommands(channel)) this.#held.add(channel);
        else this.#doubt(channel);
      }
    }
    return outcomes;
  }

  /** One command for all channels, except those that were refused or can't share one. */
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

  /** Tries a channel alone; at once if another channel of the same command may have been refused. */
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

  /** It may be subscribed or not. */
  #doubt(channel: string): void {
    this.#held.delete(channel);
    this.#stray.add(channel);
    this.#dirty.add(channel);
  }

  #mayHold(channel: string): boolean {
    return this.#held.has(channel) || this.#stray.has(channel);
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
