import type { IncomingMessage } from 'node:http';
import type { PathParams } from '../protocol/path-pattern.js';

/** The HTTP upgrade request: Node's own, and what this module adds. */
export interface UpgradeRequest extends IncomingMessage {
  /** The decoded parameters of the path; empty without any. */
  params: PathParams;
  /** The address of the client, according to `trustProxy`. */
  ip?: string | undefined;
  /**
   * For guards, and for hooks after guards: the fields of the user's payload, and `userId` and `payload`. Undefined for an
   * anonymous client.
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
   * The code of the answer's body, e.g. `ORIGIN_FORBIDDEN`: one of `ErrorCode`, or that of an exception of your own.
   */
  code: string;
  /** The text of the answer, and a remedy for you. */
  reason: string;
  /** The address of the client, according to `trustProxy`. */
  ip: string | undefined;
  /** The origin of the page, where a browser sent the request. */
  origin: string | undefined;
  /** Path and query, without tokens. */
  url: string;
}
