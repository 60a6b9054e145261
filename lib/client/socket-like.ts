/**
 * What the client needs of a socket: the W3C WebSocket, as in browsers and in `ws`. Each has its own event classes; the
 * interfaces below say what the client reads of them.
 */
export interface SocketLike {
  /** 0 connecting, 1 open, 2 closing, 3 closed. */
  readonly readyState: number;
  /** Bytes that were passed to `send()` and not sent yet. */
  readonly bufferedAmount: number;
  /** The client sets `'arraybuffer'`. */
  binaryType: string;
  addEventListener(type: SocketEventName, listener: (event: object) => void): void;
  removeEventListener(type: SocketEventName, listener: (event: object) => void): void;
  // TypeScript 5.7 and later: Uint8Array<ArrayBuffer>, which older versions don't have.
  send(data: string | ReturnType<TextEncoder['encode']>): void;
  close(code?: number, reason?: string): void;
}

export type SocketEventName = 'message' | 'close' | 'error';

export interface SocketMessageEvent {
  data: unknown;
}

export interface SocketCloseEvent {
  code: number;
  reason: string;
}

/** Browsers don't explain a failure; `ws` has the error. */
export interface SocketErrorEvent {
  error?: unknown;
  message?: string;
}

export const SOCKET_OPEN = 1;

/** The data of a message event as text; undefined when it is neither text nor UTF-8. */
export function textOf(data: unknown): string | undefined {
  if (typeof data === 'string') return data;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(data as ArrayBuffer);
  } catch {
    return undefined;
  }
}
