import type { Server as HttpServer } from 'node:http';
import { InvalidStateError } from '../errors.js';
import type { PathPattern } from '../protocol/path-pattern.js';

/** On the upgrade listener of each of our servers, so that those on one HTTP server find each other. */
const PATTERN = Symbol('pxl:upgrade-path');

type UpgradeFunction = (...args: never[]) => unknown;
type Marked = UpgradeFunction & { [PATTERN]?: PathPattern };

/** Says which path one of our listeners is for. */
export function markListener(listener: UpgradeFunction, pattern: PathPattern): void {
  (listener as Marked)[PATTERN] = pattern;
}

/** The path of a listener of ours; undefined for anybody else's. */
export const patternOf = (listener: unknown): PathPattern | undefined => (listener as Marked)[PATTERN];

/** The paths of our servers on an HTTP server, in the order they hear of an upgrade. */
export const patternsOn = (httpServer: HttpServer): PathPattern[] =>
  httpServer.listeners('upgrade').flatMap((listener) => patternOf(listener) ?? []);

/**
 * Two servers that take the same request would break its connection.
 * @throws {InvalidStateError}
 */
export function checkSiblings(httpServer: HttpServer, pattern: PathPattern): void {
  const rival = patternsOn(httpServer).find((other) => other.rivals(pattern));
  if (rival)
    throw new InvalidStateError(
      `Another WebSocketServer takes the path "${rival.path}" of this HTTP server, which a request for "${pattern.path}" can match. ` +
        'Give this one a "path" of its own, or another HTTP server.',
    );
}
