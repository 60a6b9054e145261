import { monotonicMs } from '../clock.js';
import { CloseCode } from '../protocol/close-codes.js';
import { decodeFrame, type DecodedFrame } from '../protocol/codec.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { errorFrame } from '../protocol/error-frame.js';
import { addressGroup } from './client-address.js';
import { KeyedRate } from './keyed-rate.js';
import { type MessageRate, Meter } from './meter.js';
import type { Rate } from './rate.js';

/** A connection, as its limits see it. */
export interface LimitedPeer {
  readonly client: { readonly ip?: string | undefined };
  /** Belongs to the limits: made at the first message, so that an idle connection costs nothing. */
  meter: Meter | undefined;
  /** Belongs to the limits: a message came, of whatever kind. */
  hasSpoken: boolean;
  send(frame: unknown): void;
}

export interface MessageLimitsOptions {
  readonly messages: MessageRate | false;
  readonly perUser: Rate | false;
  readonly perIp: Rate | false;
}

export interface MessageLimitsHost<S extends LimitedPeer> {
  readonly maxPayload: number;
  /** Who the sender proved to be. What it claims doesn't count: it could use up somebody else's rate. */
  userKeyOf(sender: S): string | undefined;
  close(sender: S, code: number, reason: string): void;
}

/**
 * How much may come from one connection, from one user and from one address. Asked before a frame is even decoded, and
 * for every kind of frame, pings and answers included: one that cost nothing would be the way round.
 */
export class MessageLimits<S extends LimitedPeer> {
  readonly #own: MessageRate | false;
  readonly #ofUsers: KeyedRate | undefined;
  readonly #ofAddresses: KeyedRate | undefined;

  constructor(
    { messages, perUser, perIp }: MessageLimitsOptions,
    private readonly host: MessageLimitsHost<S>,
  ) {
    this.#own = messages;
    this.#ofUsers = perUser ? new KeyedRate(perUser) : undefined;
    this.#ofAddresses = perIp ? new KeyedRate(perIp) : undefined;
  }

  /**
   * Counts a message.
   * @returns true when it is not to be handled: its sender has been told, or its socket is closed
   * @param frame what it says, where that is known already
   */
  countMessage(sender: S, data: Buffer, frame?: DecodedFrame): boolean {
    sender.hasSpoken = true;
    return this.#countOwn(sender, data, true, frame) || this.#countShared(sender, data, frame);
  }

  /** A ping or a pong, which nobody answers with an error. */
  countControl(sender: S, data: Buffer): void {
    this.#countOwn(sender, data, false);
  }

  #countOwn(sender: S, data: Buffer, isAnswered: boolean, frame?: DecodedFrame): boolean {
    if (this.#own === false) return false;
    const meter = (sender.meter ??= new Meter(this.#own, this.host.maxPayload));
    if (meter.take(data.length)) return false;
    if (meter.strike(monotonicMs())) {
      this.host.close(sender, CloseCode.RateLimited, 'too many messages');
      return true;
    }
    return isAnswered && refuse(sender, frame ?? decodeFrame(data.toString()), meter.waitMs(data.length));
  }

  /** No strikes here: a connection is not closed for what others of its user or address do. */
  #countShared(sender: S, data: Buffer, frame?: DecodedFrame): boolean {
    const user = this.#ofUsers && this.host.userKeyOf(sender);
    const waitMs =
      (user === undefined ? 0 : this.#ofUsers?.take(user)) ||
      (sender.client.ip === undefined ? 0 : this.#ofAddresses?.take(addressGroup(sender.client.ip)));
    return Boolean(waitMs) && refuse(sender, frame ?? decodeFrame(data.toString()), waitMs as number);
  }
}

/**
 * Tells the sender. Decoded for its id: whoever asks gets an answer, the one that it came too early.
 * @returns false for a message that is taken all the same: an answer, for which we wait, or the end of a stream. Each costs
 *   next to nothing, and strikes end a flood of them, too.
 */
function refuse(sender: LimitedPeer, frame: DecodedFrame, retryAfterMs: number): boolean {
  const isMessage = frame.kind === 'message';
  const isTaken = isMessage ? frame.type === 'system' && frame.action === 'cancel' : frame.kind !== 'bad';
  // The id of an answer is ours, that of a cancel another request's: neither is to be ended by this.
  const id = isTaken || (frame.kind === 'bad' && frame.isAnswer) ? undefined : frame.id;
  const told = {
    error: 'Too many messages. Send fewer, or later.',
    code: ErrorCode.RateLimited,
    details: { retryAfterMs },
  };
  sender.send(errorFrame(told, { id, ...(isMessage && { type: frame.type, action: frame.action }) }));
  return !isTaken;
}
