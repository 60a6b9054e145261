import { Logger } from '@nestjs/common';

/** What a socket is closed with. */
export interface Farewell {
  /** A code that may be sent (1000–1014, 3000–4999), else 4010. @default 4010 */
  code?: number | undefined;
  /** Cut to the 123 bytes a close frame has room for. */
  reason?: string | undefined;
}

/** Of this process: a deprecation that were said at each call would drown everything else. */
const said = new Set<string>();

/** Warns that an old name is used, once per process and name. @param instead what to write */
export function sayDeprecated(name: string, instead: string): void {
  if (said.has(name)) return;
  said.add(name);
  new Logger('PxlWebSocket').warn(`${name} is deprecated and still works. ${instead}`);
}

/** `(userId, code, reason)` was the way before `(userId, { code, reason })`. */
export function farewellOf(given: Farewell | number | undefined, reason: string | undefined): Farewell {
  if (typeof given === 'object') return given;
  if (given !== undefined || reason !== undefined)
    sayDeprecated('disconnectUser(userId, code, reason)', 'Write "disconnectUser(userId, { code, reason })".');
  return { code: given, reason };
}
