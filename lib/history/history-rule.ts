import type { Retention } from './room-log.js';

/** A rule of `rooms.history`, with its defaults. */
export interface HistoryRule extends Retention {
  /** A client that missed more gets `too-far-behind`. */
  recoverMax: number;
  /** The same in bytes of frames. */
  recoverMaxBytes: number;
  /** After how much quiet a room is compared with its log. */
  checkMs: number;
  /** When a publication is answered: once it is stored, or once a replica has it, too. */
  ack: 'stored' | 'replicated';
  onRestart: 'reset' | 'trust';
}
