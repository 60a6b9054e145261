import type { Clock } from '../clock.js';
import { addressGroup } from '../limits/client-address.js';
import { KeyedRate } from '../limits/keyed-rate.js';
import type { Rate } from '../limits/rate.js';
import { Tally } from '../limits/tally.js';

export interface ConnectionLimitsOptions {
  readonly handshakesPerIp: Rate | false;
  readonly connectionsPerIp: number | false;
  readonly connectionsPerUser: number | false;
}

/** The limit that a handshake exceeds, for its HTTP answer. */
export type OverLimit = { kind: 'rate'; retryAfterMs: number } | { kind: 'connections' };

/** Limits the number of connections, and how fast clients connect. */
export class ConnectionLimits {
  readonly #handshakes: KeyedRate | undefined;
  readonly #ofAddress = new Tally();

  constructor(
    private readonly options: ConnectionLimitsOptions,
    /** Counts the connections of an authenticated user, on other nodes too. */
    private readonly connectionsOfUser: (userId: string | number) => number,
    clock: Pick<Clock, 'now'>,
  ) {
    this.#handshakes = options.handshakesPerIp ? new KeyedRate(options.handshakesPerIp, clock) : undefined;
  }

  /**
   * Counts a handshake, from its beginning until its socket closes. Otherwise a flood of handshakes would pass before the first
   * one is done.
   */
  admit(
    address: string | undefined,
    socket: { once(event: 'close', listener: () => void): unknown },
  ): OverLimit | undefined {
    const { connectionsPerIp } = this.options;
    if (address === undefined || (!this.#handshakes && connectionsPerIp === false)) return undefined;
    const group = addressGroup(address);
    const retryAfterMs = this.#handshakes?.take(group) ?? 0;
    if (retryAfterMs > 0) return { kind: 'rate', retryAfterMs };
    if (connectionsPerIp === false) return undefined;
    if (this.#ofAddress.of(group) >= connectionsPerIp) return { kind: 'connections' };
    this.#ofAddress.add(group);
    socket.once('close', () => this.#ofAddress.remove(group));
    return undefined;
  }

  /** True when the user has as many connections as are allowed. */
  isUserFull(userId: string | number): boolean {
    const { connectionsPerUser } = this.options;
    return connectionsPerUser !== false && this.connectionsOfUser(userId) >= connectionsPerUser;
  }
}
