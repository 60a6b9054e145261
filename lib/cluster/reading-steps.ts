import type { Redis } from 'ioredis';
import type { Clock } from '../clock.js';

/** How long a connection is read in one turn of the event loop, in ms. */
const STEP_MS = 5;
/** A shorter chunk is the end of what Redis has sent. */
const LONG_CHUNK_BYTES = 32_768;

/**
 * Reads a long answer of Redis in steps, so that other work of this process gets its turn. Otherwise, up to 2 MB arrive
 * in one turn, and to parse them takes 20 ms and more.
 */
export function readInSteps(connection: Redis, clock: Clock): void {
  connection.on('connect', () => {
    const { stream } = connection;
    /** When this turn's step ends. Undefined before it began. */
    let until: number | undefined;
    stream.on('data', (chunk: Buffer) => {
      if (chunk.length < LONG_CHUNK_BYTES) return;
      if (until === undefined) {
        until = clock.now() + STEP_MS;
        clock.soon(() => {
          until = undefined;
          stream.resume();
        });
      } else if (clock.now() >= until) stream.pause();
    });
  });
}
