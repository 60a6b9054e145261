import type { WebSocket } from 'ws';

/** Bytes that are still read from a peer after its close. Above that, nothing more is read. */
const MAX_BYTES = 65_536;
/** Bytes that each frame counts in addition to its payload. */
const FRAME_HEAD_BYTES = 6;

/** Ignores what a peer sends after its connection has ended. */
export class Leftovers {
  #bytes = 0;

  constructor(private readonly ws: WebSocket) {}

  ignore({ length }: Buffer): void {
    this.#bytes += length + FRAME_HEAD_BYTES;
    if (this.#bytes > MAX_BYTES && !this.ws.isPaused) this.ws.pause();
  }
}
