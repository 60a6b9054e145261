import type { Duplex } from 'node:stream';
import { Deadline, type TIMED_OUT } from '../deadline.js';

/**
 * Does work for a peer that has no WebSocket yet: at most so long, and no longer than the peer waits. A closed socket leaves no
 * timer and nothing in memory.
 * @param work its signal is aborted when nobody waits for it any more
 */
export async function whileWaiting<T>(
  socket: Duplex,
  timeoutMs: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | typeof TIMED_OUT> {
  const over = new AbortController();
  const deadline = new Deadline(timeoutMs);
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

/** Nobody reads from the socket yet: unwatched, a peer that leaves would go unnoticed until we answer. */
function destroyAtEnd(socket: Duplex): () => void {
  const look = (): unknown => socket.read(0); // takes nothing; raises 'end' when nothing lies before it
  const leave = (): unknown => socket.destroy();
  if (socket.readableEnded) leave(); // it left between two steps
  socket.on('readable', look).once('end', leave);
  return () => socket.off('readable', look).off('end', leave);
}
