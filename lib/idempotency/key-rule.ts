import type { IdempotentOptions } from '../decorators/ws-route.js';
import { InvalidRouteError } from '../errors.js';
import { isObject } from '../options/checks.js';
import { unknownOption } from '../options/unknown-options.js';
import type { KeyRule } from './reply-store.js';

const DEFAULT_WINDOW_MS = 300_000;
const LEAST_WINDOW_MS = 1_000;
const LONGEST_WINDOW_MS = 86_400_000;
const KNOWN = ['idempotent.windowMs', 'idempotent.rerun'];

/**
 * Reads `idempotent` of a route.
 * @param handler the method, to see whether it streams
 * @returns undefined for a route without it
 * @throws {InvalidRouteError}
 */
export function keyRuleOf(
  given: boolean | IdempotentOptions | undefined,
  place: string,
  handler: { method: object; returns: unknown },
): KeyRule | undefined {
  if (given === undefined || given === false) return undefined;
  if (given !== true && !isObject(given))
    throw new InvalidRouteError(`${place} has an "idempotent" that is neither true, false nor an object.`);
  const { windowMs = DEFAULT_WINDOW_MS, rerun = false, ...others } = given === true ? {} : given;
  for (const name of Object.keys(others))
    throw new InvalidRouteError(`${place}: ${unknownOption(`idempotent.${name}`, KNOWN)}.`);
  if (!Number.isInteger(windowMs) || windowMs < LEAST_WINDOW_MS || windowMs > LONGEST_WINDOW_MS)
    throw new InvalidRouteError(
      `${place} has "idempotent.windowMs: ${String(windowMs)}". Give whole milliseconds from ${LEAST_WINDOW_MS} to ${LONGEST_WINDOW_MS}.`,
    );
  if (typeof rerun !== 'boolean')
    throw new InvalidRouteError(`${place} has "idempotent.rerun", which is neither true nor false.`);
  if (streams(handler))
    throw new InvalidRouteError(
      `${place} is idempotent and streams. Only one reply can be kept: return one value, or leave "idempotent" out.`,
    );
  return { windowMs, rerun };
}

/** True for a method that certainly streams. Any other stream is refused when it is returned. */
const streams = ({ method, returns }: { method: object; returns: unknown }): boolean =>
  ['AsyncGeneratorFunction', 'GeneratorFunction'].includes(method.constructor.name) ||
  (typeof returns === 'function' && returns.name === 'Observable');
