import { InvalidOptionsError, InvalidRouteError } from '../errors.js';
import { PathPattern } from '../protocol/path-pattern.js';
import type { Explored } from '../routing/route.explorer.js';
import type { WebSocketServer } from '../server.js';

/** One `forRoot()` of an application. */
export interface Registration {
  /** Undefined for the server without a name. */
  name: string | undefined;
  /** Where it was called: file, line and column. */
  place: string;
  server: WebSocketServer;
}

/** The injection token of each `forRoot()` of an application. */
export const REGISTRATION = Symbol('pxl:registration');

/** Where `method` was called from. */
export function callSiteOf(method: (...args: never[]) => unknown): string {
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder, method);
  const [, frame = ''] = holder.stack?.split('\n') ?? [];
  return (/(?:file:\/\/)?(\/?[^\s()]+:\d+:\d+)\)?$/.exec(frame)?.[1] ?? frame.trim()) || 'an unknown place';
}

/**
 * Refuses servers that conflict with each other.
 * @throws {InvalidOptionsError} naming both places
 */
export function checkTogether(registrations: readonly Registration[]): void {
  const flaws = registrations.flatMap((one, index) =>
    registrations.slice(index + 1).flatMap((other) => pairFlaws(one, other)),
  );
  if (flaws.length > 0) throw new InvalidOptionsError(flaws);
}

/** @throws {InvalidRouteError} for a route of a server that doesn't exist */
export function checkServerNames(explored: Explored, registrations: readonly Registration[]): void {
  const names = new Set(registrations.map(({ name }) => name));
  for (const { server, place } of explored.servers) {
    if (names.has(server)) continue;
    const known = [...names].map((name) => `'${name}'`).join(', ');
    throw new InvalidRouteError(
      server === undefined
        ? `${place} is for the server without a name, which doesn't exist. Choose one with @WsGateway({ server }): ${known}.`
        : `${place} is for the server "${server}", which doesn't exist. ` +
            `Import PxlWebSocketModule.forRoot({ name: '${server}' }), or correct the name.`,
    );
  }
}

function pairFlaws(one: Registration, other: Registration): string[] {
  const both = `forRoot() is called at ${one.place} and at ${other.place}`;
  if (one.name === other.name) {
    return [
      `${both}, both ${one.name === undefined ? 'without a name' : `with the name "${one.name}"`}. For one server, call it ` +
        'once, in the root module: it is global. For two, give one of them a name and a path of its own, such as ' +
        "forRoot({ name: 'admin', path: '/admin' }). For a client, use forClient({ name, url })",
    ];
  }
  const [first, second] = [one.server.options, other.server.options];
  if (![first, second].every(({ type, enabled }) => type === 'server' && enabled)) return [];
  const flaws: string[] = [];
  if (first.autoStart && second.autoStart && new PathPattern(first.path).rivals(new PathPattern(second.path)))
    flaws.push(
      `${both}, with the paths "${first.path}" and "${second.path}", and one request can match both. Give each server a ` +
        '"path" of its own',
    );
  if (first.redis && second.redis && first.prefix === second.prefix)
    flaws.push(
      `${both}, both with "redis" and the prefix "${first.prefix}": each would get the messages of the other. Give each ` +
        'server a "prefix" of its own',
    );
  return flaws;
}
