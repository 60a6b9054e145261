import type { Clock } from '../clock.js';
import { guarded } from '../guarded.js';
import { failureOf } from './redis-failure.js';
import { Subscriptions } from './subscriptions.js';
import type { Way } from './transport.js';

/** So many probes in a row may be unheard. */
const MAX_UNHEARD = 3;
/** How long the last of them may take, in ms. */
const LAST_CHANCE_MS = 500;

export interface LaneOptions {
  clock: Clock;
  random(): number;
  /** A channel of this node alone that takes this way. */
  probeChannel: string;
  publish(channel: string, payload: string): Promise<unknown>;
  /** It was proved, or isn't any more. */
  changed(): void;
  /** It says nothing any more. `isOutletSuspect`: what this node publishes may not even have left. */
  silent(isOutletSuspect: boolean): void;
  failed(error: Error): void;
}

/**
 * A way in, what is subscribed on it, and the proof that it works: what this node tells itself, by way of the transport, comes
 * back. Nothing else proves it: a connection that died without a word looks like a quiet one.
 */
export class Lane {
  readonly subscriptions: Subscriptions;
  #isProved = false;
  #lastSent = 0;
  #lastHeard = 0;
  /** To how many each probe went; the last one that was answered. */
  #answer = { number: 0, receivers: 0 };
  /** The first probe since everything is subscribed. */
  #proof = Infinity;
  /** Beats since anything came this way. */
  #quietBeats = 0;

  constructor(
    readonly way: Way,
    private readonly options: LaneOptions,
  ) {
    const { clock, random, failed } = options;
    this.subscriptions = new Subscriptions(way, { clock, random, failed });
    this.subscriptions.want(options.probeChannel);
  }

  /** True when a probe came back since the last change. */
  get isProved(): boolean {
    return this.#isProved;
  }

  get probeChannel(): string {
    return this.options.probeChannel;
  }

  /** Its connection is new. */
  async opened(): Promise<void> {
    this.unprove();
    this.#quietBeats = 0;
    if (await this.subscriptions.restore()) this.probe();
  }

  /** Its connection is gone. */
  closed(): void {
    this.subscriptions.waitNoLonger();
    this.unprove();
  }

  /** Something changed: only a probe from now on proves anything. */
  unprove(): void {
    this.#isProved = false;
    this.#proof = Infinity;
    this.#lastHeard = this.#lastSent;
    this.options.changed();
  }

  /** Something came this way. */
  sawTraffic(): void {
    this.#quietBeats = 0;
  }

  /** A probe came back. @param number what it said */
  heard(number: number): void {
    if (!(number > this.#lastHeard && number <= this.#lastSent)) return;
    this.#lastHeard = number;
    if (this.#isProved || number < this.#proof) return;
    this.#isProved = true;
    this.options.changed();
  }

  stop(): void {
    this.subscriptions.stop();
  }

  beat(): void {
    this.#quietBeats++;
    this.probe();
  }

  probe(): void {
    const number = ++this.#lastSent;
    if (this.subscriptions.isComplete && this.#proof === Infinity) this.#proof = number;
    this.options.publish(this.options.probeChannel, String(number)).then(
      (receivers) => void (this.#answer = { number, receivers: Number(receivers) }),
      (error: Error) => this.#failed(error, number),
    );
    if (number - this.#lastHeard < MAX_UNHEARD) return;
    const judge = guarded('judging a connection to Redis', this.options.failed, () => this.#judge(number));
    this.options.clock.after(LAST_CHANCE_MS, judge);
  }

  #failed(error: Error, number: number): void {
    this.options.failed(error);
    // What Redis refuses says nothing about the way.
    if (failureOf(error) === 'refused' && number > this.#lastHeard) this.#lastHeard = number;
  }

  #judge(number: number): void {
    if (number - this.#lastHeard < MAX_UNHEARD || this.way.state !== 'up') return;
    const isAnswered = this.#answer.number > number - MAX_UNHEARD;
    // Who published it knows of nobody who listens: this node speaks to one Redis, and listens to another.
    const isElsewhere = isAnswered && this.#answer.receivers === 0;
    if (this.#quietBeats < MAX_UNHEARD && !isElsewhere) return; // it is behind, not dead
    this.unprove();
    this.options.silent(!isAnswered || isElsewhere);
  }
}
