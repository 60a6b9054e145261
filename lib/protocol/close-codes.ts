/**
 * Close codes of the protocol. 1000–1015 are those of RFC 6455 section 7.4.1. The private ones tell the client what to do:
 * 4000–4099 stop, 4100–4199 back off, 4200–4299 reconnect now. `Unsupported`, `Replaced` and `StateLost` are reserved: the
 * server never sends them by itself.
 */
export const CloseCode = {
  Normal: 1000,
  GoingAway: 1001,
  Unsupported: 1003,
  InvalidUtf8: 1007,
  Policy: 1008,
  TooBig: 1009,
  Internal: 1011,
  Restarting: 1012,
  TryLater: 1013,
  Unauthenticated: 4001,
  Forbidden: 4003,
  BadFrames: 4004,
  Replaced: 4009,
  Kicked: 4010,
  OverCapacity: 4100,
  RateLimited: 4108,
  SlowConsumer: 4113,
  TokenExpired: 4200,
  NoPong: 4201,
  Idle: 4208,
  StateLost: 4210,
} as const;

/** A client that won't come back closes with 1000 and this reason. Nobody waits for it then. */
export const LEAVES = 'leave';

/** What a client does after a close: give up, wait longer than usual, or come back at once. */
export type CloseAdvice = 'stop' | 'back-off' | 'reconnect-now' | 'reconnect';

/** By code, and by its first two digits. */
const ADVICE: Readonly<Record<number, CloseAdvice>> = {
  1003: 'back-off',
  1007: 'back-off',
  1008: 'back-off',
  1012: 'reconnect-now', // this node is stopping, and another one may be there
  1013: 'back-off',
  40: 'stop',
  41: 'back-off',
  42: 'reconnect-now',
};

/** What our client does after a close with this code. */
export function adviceOf(code: number): CloseAdvice {
  return ADVICE[code] ?? ADVICE[Math.floor(code / 100)] ?? 'reconnect';
}

/** True for a code that `close()` may send: 1000, 1001, 1003, 1007–1014 or 3000–4999 (RFC 6455 section 7.4). */
export const isSendableCloseCode = (code: number): boolean =>
  Number.isInteger(code) &&
  ((code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006) || (code >= 3000 && code <= 4999));

/** The reason of a close, if none was given. */
const USUAL_REASONS: Readonly<Record<number, string>> = {
  1000: 'done',
  1001: 'going away',
  1002: 'protocol error',
  1003: 'unsupported data',
  1007: 'not UTF-8',
  1008: 'policy violation, such as too many fragments of a message',
  1009: 'message too big',
  1011: 'internal error',
  1012: 'server restarting',
  1013: 'try again later',
  4001: 'unauthenticated',
  4003: 'forbidden',
  4004: 'too many bad frames',
  4009: 'replaced',
  4010: 'kicked',
  4100: 'over capacity',
  4108: 'too many messages',
  4113: 'too slow',
  4200: 'token expired',
  4201: 'no pong',
  4208: 'idle',
  4210: 'state lost',
};

/** @returns undefined without a code: such a close has no room for a reason */
export const usualReason = (code: number | undefined): string | undefined =>
  code === undefined ? undefined : (USUAL_REASONS[code] ?? 'closed by the server');
/**
 * The length of a text in UTF-8 bytes. A code unit of UTF-16 takes three, less one below U+0800 or in a pair, less another one in
 * ASCII. To search costs a fifth of looking at every character; not all runtimes have a `TextEncoder`.
 */
export const utf8Length = (text: string): number =>
  3 * text.length - text.replace(/[\u0080-\uffff]+/g, '').length - text.replace(/[\u0800-\uffff]+/gu, '').length;

/** Cuts a close reason to 123 bytes (RFC 6455 section 5.5), between two characters. */
export function fitReason(reason: string): string {
  let fitting = '';
  for (const character of reason) {
    if (utf8Length(fitting + character) > 123) break;
    fitting += character;
  }
  return fitting;
}
