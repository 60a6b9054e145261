import type { Type } from '@nestjs/common';
import type { ConnectedClient } from '../decorators/connected-client.js';
import { InvalidOptionsError } from '../errors.js';
import type { FindInstance } from '../module/find-instance.js';

/** The question whether a client may join a room. */
export interface JoinQuestion {
  client: ConnectedClient;
  roomName: string;
  /** The `data` of its message, unchanged. */
  data: unknown;
}

export type AuthorizeJoin = (question: JoinQuestion) => boolean | Promise<boolean>;

/** Decides who may join. A class for `rooms.authorizeJoin`. */
export interface RoomAuthorizer {
  /** Only true allows it. False is answered with `ROOM_FORBIDDEN`, an exception with its own code. */
  authorizeJoin(question: JoinQuestion): boolean | Promise<boolean>;
}

/** @throws {InvalidOptionsError} for a class that can't be found or created */
export async function authorizeJoinOf(
  given: AuthorizeJoin | Type<RoomAuthorizer> | undefined,
  find: FindInstance | undefined,
): Promise<AuthorizeJoin | undefined> {
  if (!given || !isClass(given)) return given;
  if (!find)
    throw new InvalidOptionsError([
      `"rooms.authorizeJoin" is the class ${given.name}, which only a Nest application can create: give a function`,
    ]);
  const authorizer = await find(given, 'rooms.authorizeJoin');
  if (typeof authorizer.authorizeJoin !== 'function')
    throw new InvalidOptionsError([
      `"rooms.authorizeJoin" is the class ${given.name}, which has no method authorizeJoin({ client, roomName, data }): add it`,
    ]);
  return (question) => authorizer.authorizeJoin(question);
}

/**
 * Tells a class from a function: calling a class would fail at the first join. A class compiled to ES5 is a function, but has
 * methods.
 */
function isClass(given: AuthorizeJoin | Type<RoomAuthorizer>): given is Type<RoomAuthorizer> {
  const { prototype } = given as { prototype?: object };
  return (prototype && 'authorizeJoin' in prototype) || /^class\b/.test(Function.prototype.toString.call(given));
}
