import { ErrorCode } from './protocol/error-codes.js';

/** Base class of all errors of this module. The message states the fact and the remedy; `code` is stable. */
export abstract class PxlWebSocketError extends Error {
  abstract readonly code: string;
  override get name(): string {
    return this.constructor.name;
  }
}

/** The options are wrong. Thrown at start; names each wrong option and says what to write instead. */
export class InvalidOptionsError extends PxlWebSocketError {
  readonly code = 'INVALID_OPTIONS';
  constructor(flaws: readonly string[]) {
    super(["These options can't work:", ...flaws].join('\n  - '));
  }
}

/** A `@WsRoute()` has an invalid type or action. */
export class InvalidRouteError extends PxlWebSocketError {
  readonly code = 'INVALID_ROUTE';
}

/** Two handlers claim one route. */
export class DuplicateRouteError extends PxlWebSocketError {
  readonly code = 'DUPLICATE_ROUTE';
  constructor(route: string, first: string, second: string) {
    super(`Route "${route}" is declared by ${first} and by ${second}. Remove one of the two, or rename its action.`);
  }
}

/** A method was called at the wrong time, e.g. `start()` before `load()`. */
export class InvalidStateError extends PxlWebSocketError {
  readonly code = 'INVALID_STATE';
}

/** The named client isn't connected, as far as this node knows. */
export class ClientNotFoundError extends PxlWebSocketError {
  readonly code = 'CLIENT_NOT_FOUND';
  constructor(clientId: string) {
    super(`Client "${clientId}" is not connected here. It may have left; look it up with clientManager.getClient().`);
  }
}

/** A metadata key that is reserved by the module or by JavaScript. */
export class ReservedKeyError extends PxlWebSocketError {
  readonly code = 'RESERVED_KEY';
  constructor(key: string) {
    super(`Client metadata can't be stored under "${key}": the name is taken. Choose another key.`);
  }
}

/**
 * A message, or a value to store with a client, has no JSON form, or JSON would change it: a cycle, a BigInt, a function, a
 * `Map`, a `Set`, bytes. The error names the place.
 */
export class NotSerializableError extends PxlWebSocketError {
  readonly code = 'NOT_SERIALIZABLE';
  /** The place in the value, e.g. `data.picture`; empty for the whole. Undefined if it isn't known. */
  declare readonly path: string | undefined;
  /** @param what what is wrong, and what to do instead */
  constructor(path?: string, what = 'has no JSON form.', options?: ErrorOptions) {
    super(`${path || 'The message'} ${what}`, options);
    this.path = path;
  }
}

/** Redis didn't take the message, or didn't say so. Clients of this node have it already. */
export class NotPublishedError extends PxlWebSocketError {
  readonly code = 'NOT_PUBLISHED';
  /**
   * False: Redis didn't take it, so other nodes don't get it. True: it was on its way and Redis didn't answer, so others may
   * have it, and get it twice if it is sent again.
   */
  declare readonly mayHaveArrived: boolean;
  constructor(
    reason: string,
    { mayHaveArrived = false, ...options }: ErrorOptions & { mayHaveArrived?: boolean } = {},
  ) {
    super(
      mayHaveArrived
        ? `Redis didn't answer whether it took the message: ${reason}. If you send it again, it may arrive twice.`
        : `The message was not handed to Redis: ${reason}. Send it again when the server's status.state is "ready".`,
      options,
    );
    this.mayHaveArrived = mayHaveArrived;
  }
}

/** A message whose `type` or `action` breaks the rules for names, or that can't be sent with its options. */
export class InvalidMessageError extends PxlWebSocketError {
  readonly code = 'INVALID_MESSAGE';
  constructor(message = 'A message needs a "type" and an "action" of 1–64 characters of A–Z a–z 0–9 _ . - each.') {
    super(message);
  }
}

/** Base class of errors that the peer may see: code, message and `details` go into the error frame. */
export class PeerError extends PxlWebSocketError {
  declare readonly code: string;
  declare readonly details: unknown;
  constructor(code: string, message: string, details?: unknown) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

/** No handler has the `type` and `action` of a message. */
export class UnknownRouteError extends PeerError {
  constructor(type: string, action: string) {
    super(ErrorCode.UnknownRoute, `There is no route "${type}/${action}".`);
  }
}

/** A room name breaks the rules for names. */
export class RoomNameInvalidError extends PeerError {
  constructor() {
    super(ErrorCode.RoomNameInvalid, 'A room name has 1–128 printable characters, no { or }, no space at its ends.');
  }
}

/** The client may not join the room. */
export class RoomForbiddenError extends PeerError {
  constructor() {
    super(ErrorCode.RoomForbidden, 'You may not join this room.');
  }
}

/** The client is in `rooms.maxPerClient` rooms already. */
export class RoomLimitError extends PeerError {
  constructor(limit: number) {
    super(ErrorCode.RoomLimit, `A client may be in ${limit} rooms at once. Leave one first.`);
  }
}

/** There was no answer in time. */
export class TimeoutError extends PeerError {
  constructor(what: string, timeoutMs: number) {
    super(ErrorCode.Timeout, `${what} took longer than ${timeoutMs} ms.`);
  }
}

/** The request was cancelled before it was answered. */
export class CancelledError extends PeerError {
  constructor() {
    super(ErrorCode.Cancelled, 'The request was cancelled.');
  }
}

/** `connectToServer()` could not connect, or the connection ended while a call waited for it. */
export class ConnectionError extends PxlWebSocketError {
  readonly code = 'CONNECTION';
  /** The close code, if the other side sent one. */
  declare readonly closeCode: number | undefined;
  constructor(message: string, closeCode?: number) {
    super(message);
    this.closeCode = closeCode;
  }
}

/**
 * The other side answered a request with an error frame. `code`, the message and `details` are those of the frame. It isn't a
 * `PeerError`: if a handler throws it, it isn't passed on to another peer.
 */
export class RemoteError extends PxlWebSocketError {
  declare readonly code: string;
  declare readonly details: unknown;
  constructor(code: string, message: string, details?: unknown) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

/** The version of this package on this node doesn't know the order. */
export class UnknownOrderError extends PeerError {
  constructor(op: string) {
    super(
      ErrorCode.UnknownOrder,
      `This version of the package doesn't know the order "${op.slice(0, 32)}". Update it.`,
    );
  }
}
