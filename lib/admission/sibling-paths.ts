import type { Server as HttpServer } from 'node:http';
import { InvalidStateError } from '../errors.js';
import type { PathPattern } from '../protocol/path-pattern.js';

/** Marks our upgrade listeners, so that our servers on one HTTP server find each other. */
const PATTERN = Symbol('pxl:upgrade-path');

type UpgradeFunction = (...args: never[]) => unknown;
type Marked = UpgradeFunction & { [PATTERN]?: PathPattern };

/** Sets the path of one of our listeners. */
export function markListener(listener: UpgradeFunction, pattern: PathPattern): void {
  (listener as Marked)[PATTERN] = pattern;
}

/** The path of one of our listeners; undefined for any other listener. */
export const patternOf = (listener: unknown): PathPattern | undefined => (listener as Marked)[PATTERN];

/** The paths of our servers on an HTTP server, in the order of their listeners. */
export const patternsOn = (httpServer: HttpServer): PathPattern[] =>
  httpServer.listeners('upgrade').flatMap((listener) => patternOf(listener) ?? []);

/**
 * Two servers for the same request would break its connection.
 * @throws {InvalidStateError}
 */
export function checkSiblings(httpServer: HttpServer, pattern: PathPattern): void {
  const rival = patternsOn(httpServer).find((other) => other.rivals(pattern));
  if (rival)
    throw new InvalidStateError(
      `Another WebSocketServer has the path "${rival.path}" on this HTTP server, and a request for "${pattern.path}" can match both. ` +
        'Give this one a "path" of its own, or another HTTP server.',
    );
}
