import { WsException } from '@nestjs/websockets';

/** The event of Nest's `BaseWsExceptionFilter`, and its text for unknown errors. */
const EXCEPTION = 'exception';
const UNKNOWN = 'Internal server error';

type Listener = (payload: unknown) => void;

/** A socket that can intercept what a Nest exception filter sends over it. */
export interface FilterAwareSocket {
  exceptionListeners?: Set<Listener> | undefined;
  on(event: string, listener: Listener): unknown;
  off(event: string, listener: Listener): unknown;
}

/** What a filter sent while it ran. */
export interface Overheard {
  /** The answer for the peer. Undefined if the filter sent nothing, or only what the error itself says better. */
  readonly exception: WsException | undefined;
  stop(): void;
}

/**
 * A filter that extends `BaseWsExceptionFilter` sends the error by itself, in Nest's own form: with Nest 12 by `send()`, with
 * Nest 11 by `emit()`. We intercept it, so that the peer gets one error frame, with the id of its request.
 */
export function overhear(socket: FilterAwareSocket): Overheard {
  let payload: unknown;
  const listener: Listener = (said) => (payload = said);
  const listeners = (socket.exceptionListeners ??= new Set());
  listeners.add(listener);
  socket.on(EXCEPTION, listener);
  return {
    get exception() {
      return exceptionOf(payload);
    },
    stop: () => {
      listeners.delete(listener);
      socket.off(EXCEPTION, listener);
    },
  };
}

/** @returns true for what an exception filter sent: it isn't a frame of our protocol and must not be sent */
export function isOverheard(listeners: ReadonlySet<Listener>, data: unknown): boolean {
  if (listeners.size === 0 || typeof data !== 'string') return false;
  const payload = readException(data);
  if (payload === undefined) return false;
  for (const listener of listeners) listener(payload);
  return true;
}

function readException(text: string): unknown {
  try {
    const { event, data } = JSON.parse(text) as { event?: unknown; data?: unknown };
    return event === EXCEPTION ? data : undefined;
  } catch {
    return undefined; // not JSON: the application's own message
  }
}

/** The object without `cause`, which repeats what the peer sent, and without `status`, which is always the same. */
function exceptionOf(payload: unknown): WsException | undefined {
  if (typeof payload !== 'object' || payload === null) return undefined;
  const { cause: _, status: __, ...said } = payload as { cause?: unknown; status?: unknown; message?: unknown };
  return said.message === UNKNOWN ? undefined : new WsException(said);
}
