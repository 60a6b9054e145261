import type { Type } from '@nestjs/common';
import type { ConnectedClient } from '../decorators/connected-client.js';
import { InvalidOptionsError } from '../errors.js';
import type { FindInstance } from './find-instance.js';

/** What `authorizeJoin` is asked: may this client join this room? */
export interface JoinQuestion {
  client: ConnectedClient;
  roomName: string;
  /** The `data` of its message, unchanged. */
  data: unknown;
}

export type AuthorizeJoin = (question: JoinQuestion) => boolean | Promise<boolean>;

/** Decides who may join. A class for `rooms.authorizeJoin`. */
export interface RoomAuthorizer {
  /** Only true allows the join. False is answered with `ROOM_FORBIDDEN`, an exception with its own code. */
  authorizeJoin(question: JoinQuestion): boolean | Promise<boolean>;
}

/** What `authorizePublish` is asked: may this member publish this to the room? */
export interface PublishQuestion {
  client: ConnectedClient;
  roomName: string;
  /** What it wants to publish, unchanged. */
  data: unknown;
}

export type AuthorizePublish = (question: PublishQuestion) => boolean | Promise<boolean>;

/** Decides who may publish by `system/publish`. A class for `rooms.authorizePublish`. */
export interface PublishAuthorizer {
  /** Only true allows the publication. False is answered with `FORBIDDEN`, an exception with its own code. */
  authorizePublish(question: PublishQuestion): boolean | Promise<boolean>;
}

/** The question whether a client may say this of itself in a room with presence. */
export interface PresenceQuestion {
  client: ConnectedClient;
  roomName: string;
  /** What it wants to say, unchanged. */
  data: unknown;
}

export type AuthorizePresence = (question: PresenceQuestion) => boolean | Promise<boolean>;

/** Decides what clients may say of themselves. A class for `rooms.authorizePresence`. */
export interface PresenceAuthorizer {
  /** Only true allows it. False is answered with `FORBIDDEN`, an exception with its own code. */
  authorizePresence(question: PresenceQuestion): boolean | Promise<boolean>;
}

type Decide<Q> = (question: Q) => boolean | Promise<boolean>;

/**
 * @param name of the option, and of the method of a class
 * @throws {InvalidOptionsError} for a class that can't be found or created
 */
export async function authorizerOf<N extends 'authorizeJoin' | 'authorizePublish' | 'authorizePresence', Q>(
  name: N,
  given: Decide<Q> | Type<Record<N, Decide<Q>>> | undefined,
  find: FindInstance | undefined,
): Promise<Decide<Q> | undefined> {
  if (!given || !isClass(name, given)) return given;
  if (!find)
    throw new InvalidOptionsError([
      `"rooms.${name}" is the class ${given.name}, which only a Nest application can create: give a function`,
    ]);
  const authorizer = await find(given, `rooms.${name}`);
  if (typeof authorizer[name] !== 'function')
    throw new InvalidOptionsError([
      `"rooms.${name}" is the class ${given.name}, which has no method ${name}({ client, roomName, data }): add it`,
    ]);
  return (question) => authorizer[name](question);
}

/**
 * Tells a class from a function: calling a class would fail at the first join. A class compiled to ES5 is a function, but has
 * methods.
 */
function isClass<T>(name: string, given: unknown): given is Type<T> {
  const { prototype } = given as { prototype?: object };
  return (prototype && name in prototype) || /^class\b/.test(Function.prototype.toString.call(given));
}
