import { PeerError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';

/** Who asks for a key. */
export interface Asker {
  /** Whose key it is: one owner has a limited number. */
  readonly owner: string;
  /** An equal key of another route is another key. */
  readonly route: string;
  readonly key: string;
  /** Names the asker: it may ask again with the same one. */
  readonly token: string;
}

/** The key, as one text. Neither an owner nor a route has a line break. */
export const nameOf = ({ owner, route, key }: Asker): string => `${owner}\n${route}\n${key}`;

/** The asker has the key, until the store hears how it ended. */
export interface Mine {
  readonly state: 'mine';
}

/** What is known of a key. */
export type Claim =
  /** Nobody has handled it: the asker does. */
  | Mine
  /** Somebody is handling it, and has been heard within the lease, which ends in `forMs`. */
  | { state: 'running'; forMs: number }
  /** It was handled; this is what was kept. */
  | { state: 'kept'; reply: string }
  /** Somebody began to handle it, and nobody knows how far that went. */
  | { state: 'doubt' };

/** How the handling of a key ended: with a reply, with nothing done, or nobody knows how. */
export type Ending = { state: 'kept'; reply: string } | { state: 'free' } | { state: 'doubt' };

export interface KeyRule {
  /** How long a key is known after it was handled, in ms. */
  windowMs: number;
  /** How long it is known while its handler runs, in ms. @default windowMs */
  runMs?: number;
  /** Whether a key in doubt is handled again. */
  rerun: boolean;
}

/**
 * The keys of messages that are handled once. There are two stores, in memory and in Redis. Of several askers with one key,
 * on any node, one gets `mine` until that has ended or is in doubt.
 */
export interface ReplyStore {
  /**
   * @param sentMsAgo how long ago the message was sent for the first time, at most. A key that may have been lost or forgotten
   * since then is in doubt. Undefined: this is the first time
   * @throws {PeerError} RATE_LIMITED: its owner has too many
   * @throws {PeerError} UNAVAILABLE: it isn't the asker's
   */
  claim(asker: Asker, rule: KeyRule, sentMsAgo?: number): Claim | Promise<Claim>;
  /** Ends what was claimed. Does nothing if another has it by now. Never fails: it is tried again, and reported. */
  end(mine: Mine, ending: Ending): void | Promise<void>;
  start(): Promise<void>;
  /** What still runs is in doubt. */
  stop(): Promise<void>;
}

/** How long an owner with too many keys is told to wait, in ms. */
const RETRY_MS = 5_000;

export const tooManyKeys = (maxPerUser: number, windowMs: number): PeerError =>
  new PeerError(
    ErrorCode.RateLimited,
    `This sender has ${maxPerUser} keys already, which is the limit. Send less, or raise "keys.maxPerUser" of the server.`,
    { retryAfterMs: Math.min(windowMs, RETRY_MS) },
  );

/** When to send again what can't be decided now, in ms. */
const DECIDE_AGAIN_MS = 1_000;

/** Nothing is done, and nothing said about an earlier try. Our client sends it again by itself. */
export const notNow = (message: string): PeerError =>
  new PeerError(ErrorCode.Unavailable, message, { retryAfterMs: DECIDE_AGAIN_MS });

/** Bytes of a reply that are kept. Of a longer one it is only known that there was one. */
export const MAX_REPLY_BYTES = 65_536;

/** What is kept then. Other replies begin with another letter. */
export const WITHOUT_REPLY = { state: 'kept', reply: 'l' } as const;
