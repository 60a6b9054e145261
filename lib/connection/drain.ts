import type { WebSocket } from 'ws';
import type { Clock } from '../clock.js';
import type { Deadline } from '../deadline.js';
import { CloseCode } from '../protocol/close-codes.js';

/** Milliseconds between two groups of closes. */
const STEP_MS = 50;

/** Closes sockets with 1012, spread over time. Resolves when all are closed, or at the limit. */
export async function closeSpread(
  sockets: readonly WebSocket[],
  spreadMs: number,
  limit: Deadline,
  clock: Pick<Clock, 'now' | 'after'>,
): Promise<void> {
  const began = clock.now();
  for (let next = 0; next < sockets.length && !limit.isOver;) {
    // By the clock, because steps take longer in a busy process. A socket that is left at the limit gets no close frame.
    const share = Math.min(1, (clock.now() - began + STEP_MS) / spreadMs);
    const due = Math.ceil(sockets.length * share);
    for (const ws of sockets.slice(next, due)) {
      ws.close(CloseCode.Restarting, 'server restarting');
      ws.resume();
    }
    next = due;
    if (next < sockets.length)
      await limit.race(new Promise<void>((resolve) => void clock.after(STEP_MS, () => resolve())));
  }
  await limit.race(Promise.all(sockets.map(closed)));
}

const closed = (ws: WebSocket): Promise<void> =>
  ws.readyState === ws.CLOSED ? Promise.resolve() : new Promise((resolve) => ws.once('close', () => resolve()));
