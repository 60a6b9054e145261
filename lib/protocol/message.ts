/** A message: what both sides send. `data` is any JSON value. */
export interface WebSocketMessage<T = unknown> {
  /** 1–64 characters of `[A-Za-z0-9_.-]`, e.g. `chat`. */
  type: string;
  /** 1–64 characters of `[A-Za-z0-9_.-]`, e.g. `send`. */
  action: string;
  /** Any JSON value. Optional. */
  data?: T;
}

/** Chosen by the sender of the request, unique among its open requests: 1–64 characters or a safe integer. */
export type RequestId = string | number;

/** A message, or a request when it carries an `id`. */
export interface MessageFrame extends WebSocketMessage {
  id?: RequestId;
}

/** The answer to a request. */
export interface ReplyFrame {
  type: string;
  action: string;
  /** The id of the request. */
  id?: RequestId;
  /** Any JSON value. */
  response?: unknown;
  /** The response is one value of a stream, and more may follow. */
  more?: true;
  /** The end of a stream. */
  done?: true;
}

/** What `data` of an error frame holds. */
export interface ErrorFrameData {
  /** A sentence for people. */
  error: string;
  /** A stable code for programs, see `ErrorCode`. */
  code: string;
  /** The type of the route that failed, if it is known. */
  type?: string;
  /** The action of the route that failed, if it is known. */
  action?: string;
  /** For `VALIDATION_FAILED` the list of problems; otherwise the details of the thrown error. */
  details?: unknown;
}

/** The answer to a request or message that failed. */
export interface ErrorFrame {
  type: 'error';
  action: 'message';
  id?: RequestId;
  data: ErrorFrameData;
}

/** The place of a message in its room. A new epoch means that the log was lost or cleared; its offsets begin again. */
export interface RoomPosition {
  /** Opaque: compared, never parsed. */
  epoch: string;
  /** 1, 2, 3 … within the epoch; 0 is the place before the first message. */
  offset: number;
}

/** The user of a connection: from its handshake, or from `joinRoom()` on a server without authentication. */
export interface WebSocketUser {
  /** Opaque: compared as a string, never parsed. */
  userId: string | number;
  /** The claims of the token, or what the authenticator or `users.load` returned. */
  payload: Record<string, unknown>;
}

/** A user as others see it. */
export interface PresentUser {
  /** The id under which it authenticated. Of an anonymous connection, one made of its session; without a session, its client id. */
  userId: string;
  /** What it gave last as its presence data. Null without any. */
  data: unknown;
  /** Its connections in the room when this was sent. Those that ended within the grace count, too. */
  connections: number;
}
