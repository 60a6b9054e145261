import type { Clock } from '../clock.js';
import { CloseCode } from '../protocol/close-codes.js';
import { decodeFrame, type DecodedFrame, DEEPEST } from '../protocol/codec.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { errorFrame } from '../protocol/error-frame.js';
import { fieldsOf } from '../protocol/fields.js';
import { addressGroup } from './client-address.js';
import { KeyedRate } from './keyed-rate.js';
import { type MessageRate, Meter } from './meter.js';
import type { Rate } from './rate.js';
import { goesBehind, isBehind, latestRound } from './round.js';

/** The longest frame, in bytes, of a leave that costs nothing. */
const MAX_FREE_BYTES = 1_024;

/** What the limits need of a connection. */
export interface LimitedPeer {
  readonly client: { readonly ip?: string | undefined };
  /** Owned by the limits. Created at the first message, so that an idle connection costs nothing. */
  meter: Meter | undefined;
  /** Owned by the limits: a message of any kind came. */
  hasSpoken: boolean;
  /** Owned by the limits: the last round of which a request was refused, until the next round. */
  refusedRound?: number | undefined;
  send(frame: unknown): void;
}

export interface MessageLimitsOptions {
  readonly messages: MessageRate | false;
  readonly perUser: Rate | false;
  readonly perIp: Rate | false;
}

export interface MessageLimitsHost<S extends LimitedPeer> {
  readonly clock: Pick<Clock, 'now'>;
  readonly maxPayload: number;
  /**
   * The authenticated user of the sender. A claimed id doesn't count: otherwise a client could use up the rate of another user.
   */
  userKeyOf(sender: S): string | undefined;
  isIn(sender: S, roomName: string): boolean;
  close(sender: S, code: number, reason: string): void;
}

/**
 * The rates of a connection, a user and an address. Checked before a frame is decoded, and for every kind of frame, pings and
 * answers too.
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
    this.#ofUsers = perUser ? new KeyedRate(perUser, host.clock) : undefined;
    this.#ofAddresses = perIp ? new KeyedRate(perIp, host.clock) : undefined;
  }

  /**
   * Counts a message.
   * @returns true when it must not be handled: the sender got an error frame, or its socket is closed
   * @param frame the decoded frame, if it is known already
   */
  countMessage(sender: S, data: Buffer, frame?: DecodedFrame): boolean {
    sender.hasSpoken = true;
    return (
      this.#countOwn(sender, data, true, frame) ||
      this.#countShared(sender, data, frame) ||
      (sender.refusedRound !== undefined && keepsOrder(sender, frame ?? readFrame(data)))
    );
  }

  /** Counts a ping or a pong. Neither is answered with an error frame. */
  countControl(sender: S, data: Buffer): void {
    this.#countOwn(sender, data, false);
  }

  #countOwn(sender: S, data: Buffer, isAnswered: boolean, frame?: DecodedFrame): boolean {
    if (this.#own === false) return false;
    const meter = (sender.meter ??= new Meter(this.#own, this.host.maxPayload, this.host.clock));
    if (meter.take(data.length)) return false;
    const read = isAnswered ? (frame ?? readFrame(data)) : undefined;
    if (read && this.#isFree(sender, data.length, read)) return false;
    if (meter.strike(this.host.clock.now())) {
      this.host.close(sender, CloseCode.RateLimited, 'too many messages');
      return true;
    }
    return read !== undefined && refuse(sender, read, meter.waitMs(data.length), meter.gapMs);
  }

  /** No strikes here: a connection must not be closed for the messages of others with the same user or address. */
  #countShared(sender: S, data: Buffer, frame?: DecodedFrame): boolean {
    const user = this.#ofUsers && this.host.userKeyOf(sender);
    const { ip } = sender.client;
    const address = this.#ofAddresses && ip !== undefined ? addressGroup(ip) : undefined;
    const over = this.#overRate(this.#ofUsers, user) ?? this.#overRate(this.#ofAddresses, address);
    if (!over) return false;
    const read = frame ?? readFrame(data);
    return !this.#isFree(sender, data.length, read) && refuse(sender, read, over.waitMs, over.gapMs);
  }

  #overRate(rate: KeyedRate | undefined, key: string | undefined): { waitMs: number; gapMs: number } | undefined {
    const waitMs = rate && key !== undefined ? rate.take(key) : 0;
    return rate && waitMs > 0 ? { waitMs, gapMs: rate.gapMs } : undefined;
  }

  /**
   * True for a client that leaves a room it is in. It has paid for its join, and a leave that were refused would leave it in the
   * room. And for many others: a page that closes many views at once leaves rooms that it hasn't joined yet.
   */
  #isFree(sender: S, bytes: number, frame: DecodedFrame): boolean {
    if (bytes > MAX_FREE_BYTES) return false;
    if (frame.kind !== 'message' || frame.type !== 'system' || frame.action !== 'leaveRoom') return false;
    const { roomName } = fieldsOf(frame.data);
    return typeof roomName === 'string' && (this.host.isIn(sender, roomName) || sender.meter?.takeLeave() === true);
  }
}

/** As deep as any server reads, so that no id and no round is missed. */
const readFrame = (data: Buffer): DecodedFrame => decodeFrame(data.toString(), DEEPEST);

/** @returns true for a request that was refused, because an earlier one of its round was */
function keepsOrder(sender: LimitedPeer, frame: DecodedFrame): boolean {
  if (frame.kind !== 'message' || frame.round === undefined) return false;
  const { type, action, id, round } = frame;
  if (isBehind(round, sender.refusedRound)) {
    const { code, message: error, details } = goesBehind();
    sender.send(errorFrame({ error, code, details }, { type, action, id }));
    return true;
  }
  sender.refusedRound = undefined;
  return false;
}

/**
 * Sends the error frame. Decodes the message for its id, so that a request gets its answer.
 * @returns false for a message that is handled anyway: an answer that we wait for, or a cancel. Both cost little, and strikes
 * end a flood of them, too.
 */
function refuse(sender: LimitedPeer, frame: DecodedFrame, retryAfterMs: number, gapMs: number): boolean {
  const isMessage = frame.kind === 'message';
  const isTaken = isMessage ? frame.type === 'system' && frame.action === 'cancel' : frame.kind !== 'bad';
  // The id of an answer is ours, and the id of a cancel belongs to another request. This error must end neither.
  const id = isTaken || (frame.kind === 'bad' && frame.isAnswer) ? undefined : frame.id;
  if (isMessage && !isTaken) sender.refusedRound = latestRound(frame.round, sender.refusedRound);
  const told = {
    error: 'Too many messages. Send fewer, or later.',
    code: ErrorCode.RateLimited,
    details: { retryAfterMs, gapMs },
  };
  sender.send(errorFrame(told, { id, ...(isMessage && { type: frame.type, action: frame.action }) }));
  return !isTaken;
}
