import type { WebSocket } from 'ws';
import type { Deadline } from '../deadline.js';
import { CloseCode } from '../protocol/close-codes.js';

/** Milliseconds between two groups of closes. */
const STEP_MS = 50;

/** Closes sockets with 1012, spread over time. Resolves when all are closed, or at the limit. */
export async function closeSpread(sockets: readonly WebSocket[], spreadMs: number, limit: Deadline): Promise<void> {
  const steps = Math.max(1, Math.floor(spreadMs / STEP_MS));
  const perStep = Math.max(1, Math.ceil(sockets.length / steps));
  for (let start = 0; start < sockets.length && !limit.isOver; start += perStep) {
    for (const ws of sockets.slice(start, start + perStep)) {
      ws.close(CloseCode.Restarting, 'server restarting');
      ws.resume();
    }
    if (start + perStep < sockets.length) await limit.race(pause(STEP_MS));
  }
  await limit.race(Promise.all(sockets.map(closed)));
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms).unref());

const closed = (ws: WebSocket): Promise<void> =>
  ws.readyState === ws.CLOSED ? Promise.resolve() : new Promise((resolve) => ws.once('close', () => resolve()));
