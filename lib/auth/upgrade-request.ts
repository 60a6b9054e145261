import type { IncomingMessage } from 'node:http';
import type { PathParams } from '../protocol/path-pattern.js';

/** The HTTP upgrade request: Node's own, and what this module adds. */
export interface UpgradeRequest extends IncomingMessage {
  /** The decoded parameters of the path; empty without any. */
  params: PathParams;
  /** The address of the client, according to `trustProxy`. */
  ip?: string | undefined;
  /**
   * The user, for guards and for hooks after guards: the fields of its payload, with `userId` and `payload` added. Undefined for
   * an anonymous client.
   */
  // An application's guards put a user of their own shape here.
  // oxlint-disable-next-line typescript/no-explicit-any
  user?: any;
}

/** A refused handshake, for `events.onRefused`. */
export interface RefusedHandshake {
  /** The HTTP status, e.g. 403. */
  status: number;
  /**
   * The code in the body of the answer, e.g. `ORIGIN_FORBIDDEN`: one of `ErrorCode`, or the code of your own exception.
   */
  code: string;
  /** The text of the answer, followed by a remedy that the client doesn't get. */
  reason: string;
  /** The address of the client, according to `trustProxy`. */
  ip: string | undefined;
  /** The origin of the page, if a browser sent the request. */
  origin: string | undefined;
  /** Path and query, without tokens. */
  url: string;
}
