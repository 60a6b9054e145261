import { addressGroup } from './client-address.js';
import { KeyedRate } from './keyed-rate.js';
import type { Rate } from './rate.js';
import { Tally } from './tally.js';

export interface ConnectionLimitsOptions {
  readonly handshakesPerIp: Rate | false;
  readonly connectionsPerIp: number | false;
  readonly connectionsPerUser: number | false;
}

/** Why a handshake isn't taken, for its HTTP answer. */
export type OverLimit = { kind: 'rate'; retryAfterMs: number } | { kind: 'connections' };

/** How many may connect, and how fast. */
export class ConnectionLimits {
  readonly #handshakes: KeyedRate | undefined;
  readonly #ofAddress = new Tally();

  constructor(
    private readonly options: ConnectionLimitsOptions,
    /** The connections of a user that are known, on other nodes too. */
    private readonly connectionsOfUser: (userId: string | number) => number,
  ) {
    this.#handshakes = options.handshakesPerIp ? new KeyedRate(options.handshakesPerIp) : undefined;
  }

  /**
   * A handshake came. What is let in counts until `released()`; those under way count, or a flood of them would pass
   * before the first is through.
   */
  admit(address: string): OverLimit | undefined {
    const { connectionsPerIp } = this.options;
    if (!this.#handshakes && connectionsPerIp === false) return undefined;
    const group = addressGroup(address);
    const retryAfterMs = this.#handshakes?.take(group) ?? 0;
    if (retryAfterMs > 0) return { kind: 'rate', retryAfterMs };
    if (connectionsPerIp === false) return undefined;
    if (this.#ofAddress.of(group) >= connectionsPerIp) return { kind: 'connections' };
    this.#ofAddress.add(group);
    return undefined;
  }

  /** The socket of a handshake that was let in is closed. */
  released(address: string): void {
    if (this.options.connectionsPerIp !== false) this.#ofAddress.remove(addressGroup(address));
  }

  /**
   * True when the user has as many connections as it may have.
   * @param own how many of those that are known are the one that asks: 1 for a user who was identified after connecting
   */
  isUserFull(userId: string | number, own = 0): boolean {
    const { connectionsPerUser } = this.options;
    return connectionsPerUser !== false && this.connectionsOfUser(userId) - own >= connectionsPerUser;
  }
}
