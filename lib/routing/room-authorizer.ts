import type { Type } from '@nestjs/common';
import type { ConnectedClient } from '../decorators/connected-client.js';
import { InvalidOptionsError } from '../errors.js';
import type { FindInstance } from '../module/find-instance.js';

/** A client asks to be let into a room. */
export interface JoinQuestion {
  client: ConnectedClient;
  roomName: string;
  /** The `data` of its message, as it sent it. */
  data: unknown;
}

export type AuthorizeJoin = (question: JoinQuestion) => boolean | Promise<boolean>;

/** Decides who may join. A class for `rooms.authorizeJoin`. */
export interface RoomAuthorizer {
  /** Only true lets the client in. False is answered with `ROOM_FORBIDDEN`, an exception with its own code. */
  authorizeJoin(question: JoinQuestion): boolean | Promise<boolean>;
}

/** @throws {InvalidOptionsError} for a class that can't be found or made */
export async function authorizeJoinOf(
  given: AuthorizeJoin | Type<RoomAuthorizer> | undefined,
  find: FindInstance | undefined,
): Promise<AuthorizeJoin | undefined> {
  if (!given || !isClass(given)) return given;
  if (!find)
    throw new InvalidOptionsError([
      `"rooms.authorizeJoin" is the class ${given.name}, which only a Nest application can make: give a function`,
    ]);
  const authorizer = await find(given, 'rooms.authorizeJoin');
  if (typeof authorizer.authorizeJoin !== 'function')
    throw new InvalidOptionsError([
      `"rooms.authorizeJoin" is the class ${given.name}, which has no method authorizeJoin({ client, roomName, data }): give it one`,
    ]);
  return (question) => authorizer.authorizeJoin(question);
}

/** A class can't be called: that would be found out at the first join. Compiled to ES5, it has methods all the same. */
function isClass(given: AuthorizeJoin | Type<RoomAuthorizer>): given is Type<RoomAuthorizer> {
  const { prototype } = given as { prototype?: object };
  return (prototype && 'authorizeJoin' in prototype) || /^class\b/.test(Function.prototype.toString.call(given));
}
