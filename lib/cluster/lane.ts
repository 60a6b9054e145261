import type { Clock } from '../clock.js';
import { guarded } from '../guarded.js';
import { failureOf } from './redis-failure.js';
import { Subscriptions } from './subscriptions.js';
import type { Way } from './transport.js';

/** After this many lost probes in a row, a connection counts as dead. */
const MAX_UNHEARD = 3;
/** How long the last of them may take, in ms. */
const LAST_CHANCE_MS = 500;

/** Which connections may be dead. */
export interface Suspects {
  /** Nothing arrives. */
  way: boolean;
  /** Nobody answers what is published. */
  outlet: boolean;
}

export interface LaneOptions {
  clock: Clock;
  random(): number;
  /** False while nothing can be published. Once it can, `unprove()` and `beat()` are called. */
  canPublish(): boolean;
  /** A channel that only this node uses, and that takes this way. */
  probeChannel: string;
  publish(channel: string, payload: string): Promise<unknown>;
  /** `isProved` may have changed. */
  changed(): void;
  /** Probes don't come back. At least one of the two is dead. */
  silent(suspects: Suspects): void;
  failed(error: Error): void;
}

/**
 * One way in, its subscriptions, and the proof that it works: a probe that this node published came back. A dead
 * connection can look like a quiet one, so nothing else proves it.
 */
export class Lane {
  readonly subscriptions: Subscriptions;
  #isProved = false;
  #lastSent = 0;
  #lastHeard = 0;
  /** The last probe that Redis answered, and how many it said received it. */
  #answer = { number: 0, receivers: 0 };
  /** The first probe since everything was subscribed. */
  #proof = Infinity;
  /** Probes that Redis refused since one last came back. */
  #refused = 0;
  /** Beats since something last came this way. */
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

  /** The connection is new. */
  async opened(): Promise<void> {
    this.unprove();
    this.#quietBeats = 0;
    if (await this.subscriptions.restore()) this.#probe();
  }

  /** The connection is lost. */
  closed(): void {
    this.subscriptions.waitNoLonger();
    this.unprove();
  }

  /** After a change, only a new probe proves anything. */
  unprove(): void {
    this.#isProved = false;
    this.#proof = Infinity;
    this.#lastHeard = this.#lastSent;
    this.options.changed();
  }

  sawTraffic(): void {
    this.#quietBeats = 0;
  }

  /** A probe came back. */
  heard(number: number): void {
    if (!(number > this.#lastHeard && number <= this.#lastSent)) return;
    this.#lastHeard = number;
    this.#refused = 0;
    if (this.#isProved || number < this.#proof) return;
    this.#isProved = true;
    this.options.changed();
  }

  stop(): void {
    this.subscriptions.stop();
  }

  beat(): void {
    this.#quietBeats++;
    this.#probe();
  }

  #probe(): void {
    if (!this.options.canPublish()) return;
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
    if (failureOf(error) !== 'refused' || number <= this.#lastHeard) return;
    // A refusal of Redis says nothing about the connections. But the other nodes get nothing, either.
    this.#lastHeard = number;
    if (++this.#refused >= MAX_UNHEARD && this.#isProved) this.unprove();
  }

  #judge(number: number): void {
    if (number - this.#lastHeard < MAX_UNHEARD || this.way.state !== 'up') return;
    const isAnswered = this.#answer.number > number - MAX_UNHEARD;
    // No receiver: this node publishes to one Redis and listens to another.
    const isElsewhere = isAnswered && this.#answer.receivers === 0;
    const suspects = { way: this.#quietBeats >= MAX_UNHEARD || isElsewhere, outlet: !isAnswered || isElsewhere };
    if (!suspects.way && !suspects.outlet) return; // slow, but not dead
    this.unprove();
    this.options.silent(suspects);
  }
}
