import type { WebSocket } from 'ws';
import { CloseCode } from '../protocol/close-codes.js';

/** Milliseconds a socket has to answer our close frame before it is cut. */
const CLOSE_GRACE_MS = 1_000;

/** Closes of peers that broke the rules: they may go on doing so. */
const OF_BAD_PEERS: ReadonlySet<number> = new Set([
  CloseCode.InvalidUtf8,
  CloseCode.Policy,
  CloseCode.TooBig,
  CloseCode.BadFrames,
  CloseCode.OverCapacity,
  CloseCode.RateLimited,
  CloseCode.SlowConsumer,
]);

/**
 * Whether anything is read after a close of this code. A bad peer could keep the process busy for as long as it has to answer
 * our close frame, so it isn't heard any more. Any other is, or its close frame would never be seen.
 */
export const isHeardAfter = (code: number): boolean => !OF_BAD_PEERS.has(code);

/**
 * Closes a socket, and cuts it when the peer takes too long to answer.
 * @param isPaused its answer to our close frame would never be read
 */
export function closeSocket(ws: WebSocket, code: number, reason: string, isPaused = false): void {
  // One that is closing already, too: a peer that says goodbye and never reads would keep what waits for it.
  if (ws.readyState === ws.CLOSED) return;
  ws.close(code, reason);
  cutAfterGrace(ws);
  if (!isHeardAfter(code)) ws.pause();
  else if (isPaused) ws.resume();
}

const beingCut = new WeakSet<WebSocket>();

/** A peer that doesn't answer our close frame would keep its socket for as long as it likes. */
export function cutAfterGrace(ws: WebSocket): void {
  if (beingCut.has(ws)) return; // whatever else comes of it
  beingCut.add(ws);
  const timer = setTimeout(() => ws.terminate(), CLOSE_GRACE_MS).unref();
  ws.once('close', () => clearTimeout(timer));
}
