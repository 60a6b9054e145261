import type { Clock } from '../clock.js';
import { guarded } from '../guarded.js';
import type { Lanes } from './lanes.js';
import type { SharedClock } from './shared-clock.js';
import type { Transport } from './transport.js';

/** How often probes go out and the clock of Redis is read, in ms. */
const BEAT_MS = 2_000;

export interface HealthOptions {
  clock: Clock;
  /** `isProved` may have changed. */
  changed(): void;
  /** Called on each beat while the connection is proved. */
  beat(): void;
  failed(error: Error, place?: string): void;
}

/** Whether this node and the others can reach each other. Only a probe proves it. */
export class Health {
  /** The clock of Redis was read since the way out is new. */
  #isTimed = false;
  #beatNoMore: () => void = () => undefined;

  constructor(
    private readonly transport: Transport,
    private readonly lanes: Lanes,
    private readonly time: SharedClock,
    private readonly options: HealthOptions,
  ) {}

  get isProved(): boolean {
    return this.transport.isOpen && this.#isTimed && this.lanes.isProved;
  }

  start(): void {
    if (this.transport.isAlone) return;
    const beat = guarded('a probe', this.options.failed, () => this.#beat());
    this.#beatNoMore = this.options.clock.every(BEAT_MS, beat);
  }

  stop(): void {
    this.#beatNoMore();
  }

  /** A new way out. Its clock is read before it counts as proved, so that nothing stale is delivered. */
  async outletChanged(): Promise<void> {
    this.#isTimed = false;
    this.lanes.outletChanged();
    if (!this.transport.isOpen) return this.options.changed();
    await this.#measure();
    this.#isTimed = true;
    this.options.changed();
  }

  async #beat(): Promise<void> {
    this.lanes.beat();
    if (this.isProved) this.options.beat();
    if (this.transport.isOpen) await this.#measure();
  }

  async #measure(): Promise<void> {
    const failed = (error: Error): void => this.options.failed(error, 'reading the clock of Redis');
    await this.time.measure(this.transport).catch(failed);
  }
}
