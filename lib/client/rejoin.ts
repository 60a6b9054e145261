import { ConnectionError, RemoteError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { Link } from './link.js';
import type { RoomMemory } from './room-memory.js';
import type { SocketLike } from './socket-like.js';

/** A server takes 30 messages a second and 60 at once by default; a client of 100 rooms must stay below it. */
const GROUP_SIZE = 25;
const GROUP_PAUSE_MS = 1_000;
const MAX_TRIES = 3;
/** Refusals that pass with time, unlike those that say "not you" or "not this room". */
const PASSING: ReadonlySet<string> = new Set([ErrorCode.RateLimited, ErrorCode.Timeout, ErrorCode.Unavailable]);

/**
 * Joins every remembered room on a new connection. Never rejects: a refused room is forgotten and reported, and the end
 * of the link ends it.
 */
export async function rejoinRooms(
  link: Link<SocketLike>,
  rooms: RoomMemory,
  { requestTimeoutMs, report }: { requestTimeoutMs: number; report: (error: unknown) => void },
): Promise<void> {
  const tries = new Map<string, number>();
  let waiting = [...rooms.names];

  while (waiting.length > 0 && link.isOpen) {
    const again: string[] = [];
    const joinOne = async (roomName: string): Promise<void> => {
      const tried = (tries.get(roomName) ?? 0) + 1;
      tries.set(roomName, tried);
      const data = { ...rooms.detailsOf(roomName), roomName };
      try {
        await link.requests.request({ type: 'system', action: 'joinRoom', data }, { timeoutMs: requestTimeoutMs });
      } catch (error) {
        if (error instanceof ConnectionError) return;
        if (error instanceof RemoteError && PASSING.has(error.code) && tried < MAX_TRIES)
          return void again.push(roomName);
        if (error instanceof RemoteError) rooms.forget(roomName);
        report(error);
      }
    };
    const group = waiting.slice(0, GROUP_SIZE).filter((roomName) => rooms.has(roomName));
    await Promise.all(group.map(joinOne));
    waiting = [...waiting.slice(GROUP_SIZE), ...again];
    if (waiting.length > 0) await pause(link);
  }
}

/** Ends early with the link, so that no timer outlives it. */
async function pause(link: Link<SocketLike>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const over = new Promise<void>((resolve) => (timer = setTimeout(resolve, GROUP_PAUSE_MS)));
  await Promise.race([over, link.ended]);
  clearTimeout(timer);
}
