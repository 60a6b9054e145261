import type { IncomingMessage } from 'node:http';
import type { PathParams } from '../protocol/path-pattern.js';

/** The HTTP request that asks for a connection: Node's own, and what this module knows of it. */
export interface UpgradeRequest extends IncomingMessage {
  /** Of a path with parameters, decoded; else empty. */
  params: PathParams;
  /** Where it comes from, as `trustProxy` believes it. */
  ip?: string | undefined;
  /**
   * For guards, and for hooks where there are guards: the fields of the user's payload, with `userId` and `payload` besides.
   * Undefined for somebody anonymous.
   */
  // An application's guards put a user of their own shape here.
  // oxlint-disable-next-line typescript/no-explicit-any
  user?: any;
}

/** A handshake that was refused before there was a socket, for `events.onRefused`. */
export interface RefusedHandshake {
  /** Of the HTTP answer, e.g. 403. */
  status: number;
  /** As in the answer's body, e.g. `ORIGIN_FORBIDDEN`; one of `ErrorCode`, or that of an exception of your own. */
  code: string;
  /** What the peer was told, and for you what can be done about it. */
  reason: string;
  /** Where it came from, as `trustProxy` believes it. */
  ip: string | undefined;
  /** Of the page, where a browser asked. */
  origin: string | undefined;
  /** Path and query, without tokens. */
  url: string;
}
