/** What is known of a key. */
export type Claim =
  /** Nobody has handled it: the asker does. */
  | { state: 'mine' }
  /** Somebody is handling it, and has been heard within the lease, which ends in `forMs`. */
  | { state: 'running'; forMs: number }
  /** It was handled; this is what was kept. */
  | { state: 'kept'; reply: string }
  /** Somebody began to handle it, and nobody knows how far that went. */
  | { state: 'doubt' };

/** How the handling of a key ended: with a reply, with nothing done, or nobody knows how. */
export type Ending = { state: 'kept'; reply: string } | { state: 'free' } | { state: 'doubt' };

export interface KeyRule {
  /** How long a key is known after it was claimed, and again after it was handled, in ms. */
  windowMs: number;
  /** Whether a key in doubt is handled again. */
  rerun: boolean;
}

/**
 * The keys of messages that are handled once. There are two stores, in memory and in Redis. Of several askers with one key,
 * on any node, one gets `mine` until that has ended or is in doubt.
 */
export interface ReplyStore {
  /**
   * @param token names the asker: it may ask again with the same one
   * @throws {PeerError} UNAVAILABLE: it isn't the asker's
   */
  claim(key: string, token: string, rule: KeyRule): Promise<Claim>;
  /** Ends what `token` has claimed. Does nothing if another has it by now. Never rejects: a failure is tried again, and reported. */
  end(key: string, token: string, ending: Ending, rule: KeyRule): Promise<void>;
  start(): Promise<void>;
  /** What still runs is in doubt. */
  stop(): Promise<void>;
}

/** Bytes of a reply that are kept. Of a longer one it is only known that there was one. */
export const MAX_REPLY_BYTES = 65_536;
