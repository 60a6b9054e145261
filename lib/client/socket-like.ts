/**
 * What the client needs of a socket: the W3C WebSocket, as browsers and the `ws` package have it.
 * Each has its own event classes; the interfaces below say what is read of them.
 */
export interface SocketLike {
  readonly readyState: number;
  /** Bytes that were sent here and have not left yet. */
  readonly bufferedAmount: number;
  binaryType: string;
  addEventListener(type: SocketEventName, listener: (event: object) => void): void;
  removeEventListener(type: SocketEventName, listener: (event: object) => void): void;
  // TypeScript before 5.7 has no Uint8Array<ArrayBuffer>, which is what this is since.
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

/** Browsers tell nothing about a failure; `ws` gives the error. */
export interface SocketErrorEvent {
  error?: unknown;
  message?: string;
}

export const SOCKET_OPEN = 1;

/** What a message event has, as text: undefined for what is neither text nor UTF-8. */
export function textOf(data: unknown): string | undefined {
  if (typeof data === 'string') return data;
  if (!(data instanceof ArrayBuffer) && !ArrayBuffer.isView(data)) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(data);
  } catch {
    return undefined;
  }
}
