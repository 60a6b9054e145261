/** One message for one room, as its publisher wrote it down. */
export interface Publication {
  publisher: string;
  room: string;
  /** Counts the publications of this publisher in this room, from 1. */
  n: number;
  /** Milliseconds since the epoch. */
  at: number;
  /** The publisher was told that other nodes don't get it. */
  isRefused?: boolean;
}

/** One copy of it, as a client wrote it down. */
export interface Reception {
  client: string;
  publisher: string;
  room: string;
  n: number;
  at: number;
}
