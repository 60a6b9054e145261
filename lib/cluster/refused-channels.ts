import type { Clock } from '../clock.js';
import { guarded } from '../guarded.js';

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5_000;

interface Refused {
  failures: number;
  tryNoMore(): void;
}

export interface RefusedChannelsOptions {
  clock: Clock;
  random(): number;
  failed(error: Error): void;
  /** It is time for another attempt. */
  again(channel: string): unknown;
}

/** Channels that Redis refused. Each is tried again alone, so that others don't fail with it. */
export class RefusedChannels {
  readonly #refused = new Map<string, Refused>();

  constructor(private readonly options: RefusedChannelsOptions) {}

  has(channel: string): boolean {
    return this.#refused.has(channel);
  }

  /** Tries a channel again; at once if another channel of the same command may have been refused. */
  tryAgain(channel: string, wasTogether: boolean): void {
    const { clock, random, failed } = this.options;
    const { failures } = this.#refused.get(channel) ?? { failures: 0 };
    this.forget(channel);
    const again = guarded('subscribing', failed, () => this.options.again(channel));
    const ms = wasTogether ? 0 : (0.5 + random() / 2) * Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures);
    const tryNoMore = clock.after(ms, again);
    this.#refused.set(channel, { failures: wasTogether ? failures : failures + 1, tryNoMore });
  }

  forget(channel: string): void {
    this.#refused.get(channel)?.tryNoMore();
    this.#refused.delete(channel);
  }

  forgetAll(): void {
    for (const channel of this.#refused.keys()) this.forget(channel);
  }
}
