import { Logger } from '@nestjs/common';

/** The code and reason of a close. */
export interface Farewell {
  /** The close code: 1000–1003, 1007–1014 or 3000–4999. Any other code becomes 4010. @default 4010 */
  code?: number | undefined;
  /** The close reason. It is cut at 123 bytes, the limit of a close frame. */
  reason?: string | undefined;
}

/** Warnings that this process has logged. Each is logged once. */
const said = new Set<string>();

/** Warns that an old name is used, once per process and name. @param instead what to write */
export function sayDeprecated(name: string, instead: string): void {
  if (said.has(name)) return;
  said.add(name);
  new Logger('PxlWebSocket').warn(`${name} is deprecated and still works. ${instead}`);
}

/** `(userId, code, reason)` is the old form of `(userId, { code, reason })`. */
export function farewellOf(given: Farewell | number | undefined, reason: string | undefined): Farewell {
  if (typeof given === 'object') return given;
  if (given !== undefined || reason !== undefined)
    sayDeprecated('disconnectUser(userId, code, reason)', 'Write "disconnectUser(userId, { code, reason })".');
  return { code: given, reason };
}
