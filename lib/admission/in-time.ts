import type { Duplex } from 'node:stream';

/** The time was over, or the peer left. */
export const GIVEN_UP = Symbol('given up');

/**
 * Does work for a peer that has no WebSocket yet, no longer than the time allows and the peer waits: a socket that closes
 * leaves no timer and nothing in memory.
 * @param work its signal is aborted when nobody waits for it any more
 */
export async function inTime<T>(
  socket: Duplex,
  timeoutMs: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | typeof GIVEN_UP> {
  const over = new AbortController();
  let giveUp!: () => void;
  const givenUp = new Promise<typeof GIVEN_UP>((resolve) => (giveUp = () => resolve(GIVEN_UP)));
  const timer = setTimeout(giveUp, timeoutMs);
  socket.once('close', giveUp);
  const stopWatching = destroyAtEnd(socket);
  try {
    return await Promise.race([work(over.signal), givenUp]);
  } finally {
    over.abort();
    clearTimeout(timer);
    socket.off('close', giveUp);
    stopWatching();
  }
}

/** Nobody reads from the socket yet: unwatched, a peer that leaves would go unnoticed until we answer. */
function destroyAtEnd(socket: Duplex): () => void {
  const look = (): unknown => socket.read(0); // takes nothing; raises 'end' when nothing lies before it
  const leave = (): unknown => socket.destroy();
  if (socket.readableEnded) leave(); // it left between two steps
  socket.on('readable', look).once('end', leave);
  return () => socket.off('readable', look).off('end', leave);
}
