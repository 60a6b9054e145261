import type { IncomingMessage } from 'node:http';
import type { PathParams } from './protocol/path-pattern.js';

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
