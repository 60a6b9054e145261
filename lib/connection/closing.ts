import type { WebSocket } from 'ws';
import type { Timer } from '../deadline.js';
import { CloseCode } from '../protocol/close-codes.js';

/** Milliseconds that a socket has to answer our close frame. Then it is cut. */
const CLOSE_GRACE_MS = 1_000;

/** Codes for peers that broke the rules and may break them again. */
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
 * False for codes after which nothing more is read: a bad peer could keep the process busy until the close times out. After
 * all other codes, reading goes on until the peer's close frame.
 */
export const isHeardAfter = (code: number): boolean => !OF_BAD_PEERS.has(code);

/**
 * Closes a socket, and cuts it when the peer takes too long to answer.
 * @param isPaused nothing is read from it, so its answer to our close frame would never be seen
 */
export function closeSocket(ws: WebSocket, clock: Timer, code: number, reason: string, isPaused = false): void {
  // Even if the socket is closing already: the buffers of a peer that closes and never reads would stay here.
  if (ws.readyState === ws.CLOSED) return;
  ws.close(code, reason);
  cutAfterGrace(ws, clock);
  if (!isHeardAfter(code)) ws.pause();
  else if (isPaused) ws.resume();
}

const beingCut = new WeakSet<WebSocket>();

/** Cuts a socket whose peer doesn't answer the close frame in time. */
export function cutAfterGrace(ws: WebSocket, clock: Timer): void {
  if (beingCut.has(ws)) return; // a timer runs already
  beingCut.add(ws);
  ws.once(
    'close',
    clock.after(CLOSE_GRACE_MS, () => ws.terminate()),
  );
}
