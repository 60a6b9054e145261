import type { Clock } from '../clock.js';
import { type Outcome, outcomeOf } from './outcome.js';
import { failureOf } from './redis-failure.js';
import { RefusedChannels } from './refused-channels.js';
import type { Way } from './transport.js';
import { WaitingList } from './waiting-list.js';

/** How many channels one `SUBSCRIBE` names. 50,000 in one command would hold up everything else. */
const BATCH = 1_000;
/** How long `add()` waits while Redis refuses a subscription, in ms. Shorter than the time that a handler has. */
const PATIENCE_MS = 5_000;

export interface SubscriptionsOptions {
  clock: Clock;
  random(): number;
  /** Gets the channels that couldn't be subscribed. */
  failed(error: Error): void;
}

/**
 * The channels that this node wants and those it has. Changes of one turn become one command, and one command runs at a
 * time: a join and a leave of one room can't overtake each other. A command without an answer may still be carried out,
 * so its channels are asked for again: Redis keeps the order of a connection's commands, and the last answer counts.
 */
export class Subscriptions {
  readonly #wanted = new Set<string>();
  /** Subscribed: the last command for it was a `SUBSCRIBE` on this connection, and Redis has answered it. */
  readonly #held = new Set<string>();
  /** Perhaps subscribed: a command for it is under way or failed. */
  readonly #unsure = new Set<string>();
  /** Channels that this node needs to be ready. */
  readonly #vital = new Set<string>();
  /** Wanted channels without which this connection isn't complete: nobody waits for them. */
  readonly #owed = new Set<string>();
  /** Channels where wanted and subscribed may differ, so that a change doesn't look at all the others. */
  readonly #dirty = new Set<string>();
  readonly #refused: RefusedChannels;
  readonly #waiting: WaitingList;
  #working: Promise<boolean> | undefined;
  #isRestored = false;
  #isStopped = false;
  #restorations = 0;
  #renewals = 0;

  constructor(
    private readonly way: Pick<Way, 'state' | 'sharesCommands' | 'subscribe' | 'unsubscribe'>,
    private readonly options: SubscriptionsOptions,
  ) {
    this.#waiting = new WaitingList(options.clock, options.failed);
    const again = (channel: string): unknown => {
      this.#dirty.add(channel);
      return this.#reconcile();
    };
    this.#refused = new RefusedChannels({ ...options, again });
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

  /** Like `add()`, but nobody waits: until Redis has answered, `isComplete` is false. */
  owe(channel: string): void {
    this.#owed.add(channel);
    void this.add(channel);
  }

  /** Resolves all calls of `add()` that wait: `restore()` subscribes later. */
  waitNoLonger(): void {
    this.#waiting.releaseAll();
  }

  remove(channel: string): void {
    if (!this.#wanted.delete(channel)) return;
    this.#vital.delete(channel);
    this.#owed.delete(channel);
    this.#refused.forget(channel);
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
      if (!this.#held.has(channel)) this.#owed.add(channel);
    }
  }

  get wanted(): Iterable<string> {
    return this.#wanted;
  }

  /**
   * True when this connection has every channel that was wanted when it opened or that is owed, except those that Redis
   * refuses and that this node doesn't need.
   */
  get isComplete(): boolean {
    return this.#isRestored && this.#owed.size === 0;
  }

  /**
   * Subscribes to everything on a new connection. What Redis refuses is tried again later.
   * @returns false if the connection broke
   */
  async restore(): Promise<boolean> {
    const number = ++this.#restorations;
    this.#isRestored = false;
    await this.#working;
    if (number !== this.#restorations) return false;
    for (const channel of this.#held) this.#doubt(channel);
    this.#refused.forgetAll();
    for (const channel of this.#wanted) this.#owed.add(channel);
    for (const channel of [...this.#wanted, ...this.#unsure]) this.#dirty.add(channel);
    const isWhole = await this.#reconcile();
    return number === this.#restorations && (this.#isRestored = isWhole);
  }

  /** Subscribes to sharded channels again: Redis may have ended some, and ioredis doesn't say which. */
  renew(): void {
    for (const channel of this.#held) {
      if (this.way.sharesCommands(channel)) continue;
      this.#doubt(channel);
      this.#dirty.add(channel);
    }
    this.#renewals++;
    if (this.way.state === 'up') void this.#reconcile();
  }

  /** Sends nothing more: another instance may use the connection. */
  stop(): void {
    this.#isStopped = true;
    this.#refused.forgetAll();
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
    while (isComplete && !this.#isStopped) {
      const changes = take(this.#dirty, BATCH);
      if (changes.length === 0) break;
      const outcomes = await this.#change(
        changes.filter((channel) => this.#wanted.has(channel) && !this.#held.has(channel)),
        changes.filter(
          (channel) => !this.#wanted.has(channel) && (this.#held.has(channel) || this.#unsure.has(channel)),
        ),
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
    else for (const channel of channels) this.#refuse(channel, channels.length > 1);
    return true;
  }

  async #change(missing: string[], extra: string[]): Promise<Outcome[]> {
    const renewals = this.#renewals;
    for (const channel of [...missing, ...extra]) this.#doubt(channel);
    const outcomes = await Promise.all([
      ...this.#commands(missing).map((channels) => outcomeOf(channels, this.way.subscribe(channels))),
      ...this.#commands(extra).map((channels) => outcomeOf(channels, this.way.unsubscribe(channels))),
    ]);
    const isMissing = new Set(missing);
    for (const { channels, error } of outcomes) {
      if (error) continue;
      for (const channel of channels) {
        this.#refused.forget(channel);
        if (!isMissing.has(channel)) this.#unsure.delete(channel);
        else if (renewals === this.#renewals || this.way.sharesCommands(channel)) this.#settle(channel);
        else this.#dirty.add(channel);
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

  #refuse(channel: string, wasTogether: boolean): void {
    this.#refused.tryAgain(channel, wasTogether);
    if (!wasTogether && !this.#vital.has(channel)) this.#owed.delete(channel);
  }

  /** It may be subscribed or not. */
  #doubt(channel: string): void {
    this.#held.delete(channel);
    this.#unsure.add(channel);
    if (this.#vital.has(channel)) this.#owed.add(channel);
  }

  #settle(channel: string): void {
    this.#unsure.delete(channel);
    this.#owed.delete(channel);
    this.#held.add(channel);
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
