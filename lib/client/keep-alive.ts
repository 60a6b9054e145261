import { ConnectionError, TimeoutError } from '../errors.js';
import { CloseCode } from '../protocol/close-codes.js';
import type { Link } from './link.js';
import type { SocketLike } from './socket-like.js';

/**
 * Asks the server for a sign of life at intervals, and gives the link up with 4201 when none comes.
 * @returns a function that ends it.
 */
export function keepAlive(
  link: Link<SocketLike>,
  { pingIntervalMs, pongTimeoutMs }: { pingIntervalMs: number; pongTimeoutMs: number },
): () => void {
  if (pingIntervalMs === 0) return () => undefined;
  let isWaiting = false;

  const ping = async (): Promise<void> => {
    if (isWaiting || !link.isOpen) return;
    isWaiting = true;
    const heardBefore = link.framesHeard;
    try {
      await link.requests.request({ type: 'system', action: 'ping' }, { timeoutMs: pongTimeoutMs });
    } catch (error) {
      // Any frame is a sign of life: a pong may wait its turn behind a slow handler, and a refusal is an answer too.
      if (error instanceof TimeoutError && link.framesHeard === heardBefore) {
        const silence = `The server said nothing for ${pongTimeoutMs} ms after a ping.`;
        link.close(CloseCode.NoPong, 'no pong', new ConnectionError(silence));
      }
    } finally {
      isWaiting = false;
    }
  };

  const timer = setInterval(() => void ping(), pingIntervalMs);
  // In Node the socket keeps the process alive, and this timer mustn't; browsers have numbers for timers.
  (timer as { unref?: () => void }).unref?.();
  return () => clearInterval(timer);
}
