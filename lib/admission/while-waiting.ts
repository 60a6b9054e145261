import type { Duplex } from 'node:stream';
import { Deadline, type TIMED_OUT, type Timer } from '../deadline.js';

/**
 * Does work for a peer that has no WebSocket yet, within a time limit and only while the peer waits. A closed socket leaves no
 * timer and no memory behind.
 * @param work its signal is aborted when nobody waits any more
 */
export async function whileWaiting<T>(
  socket: Duplex,
  clock: Timer,
  timeoutMs: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | typeof TIMED_OUT> {
  const over = new AbortController();
  const deadline = new Deadline(clock, timeoutMs);
  socket.once('close', deadline.end);
  const stopWatching = destroyAtEnd(socket);
  try {
    return await deadline.race(work(over.signal));
  } finally {
    over.abort();
    deadline.cancel();
    socket.off('close', deadline.end);
    stopWatching();
  }
}

/** Nobody reads from the socket yet, so without this a closed connection would go unnoticed. */
function destroyAtEnd(socket: Duplex): () => void {
  const look = (): unknown => socket.read(0); // reads nothing, but lets 'end' come
  const leave = (): unknown => socket.destroy();
  if (socket.readableEnded) leave(); // it left between two steps
  socket.on('readable', look).once('end', leave);
  return () => socket.off('readable', look).off('end', leave);
}
