import type { Retention } from './room-log.js';

/** A rule of `rooms.history`, whole. */
export interface HistoryRule extends Retention {
  /** A client that missed more is told `too-far-behind`. */
  recoverMax: number;
  /** The same in bytes of frames. */
  recoverMaxBytes: number;
  /** How often the newest place of a quiet room is compared. */
  checkMs: number;
  /** When a publication is answered: once it is stored, or once a replica has it, too. */
  ack: 'stored' | 'replicated';
  onRestart: 'reset' | 'trust';
}
