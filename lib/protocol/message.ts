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

/** Answers a request. A stream sends `more: true` with each value and `done: true` at its end. */
export interface ReplyFrame {
  type: string;
  action: string;
  id?: RequestId;
  response?: unknown;
  more?: true;
  done?: true;
}

/** What `data` of an error frame holds. */
export interface ErrorFrameData {
  /** A sentence for people. */
  error: string;
  /** A stable code for programs, see `ErrorCode`. */
  code: string;
  /** The route that failed, where one was named. */
  type?: string;
  action?: string;
  /** For `VALIDATION_FAILED` the list of problems; otherwise the details of the thrown error. */
  details?: unknown;
}

export interface ErrorFrame {
  type: 'error';
  action: 'message';
  id?: RequestId;
  data: ErrorFrameData;
}

/** The place of a message in its room. A new epoch means that the log was lost or cleared; its offsets begin again. */
export interface RoomPosition {
  epoch: string;
  /** 1, 2, 3 … within the epoch; 0 is the place before the first message. */
  offset: number;
}

/** The identity a connection proved at its handshake. */
export interface WebSocketUser {
  /** Opaque: compared as a string, never parsed. */
  userId: string | number;
  payload: Record<string, unknown>;
}
