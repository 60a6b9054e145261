import { ConnectionError, PeerError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { RouteCall } from '../routing/route-call.js';

/** The streaming calls of one connection, including those that are answered but whose generator still runs. */
export class OpenStreams {
  readonly calls = new Set<RouteCall>();

  constructor(private readonly max: number) {}

  /** @throws {ConnectionError} the call has ended @throws {PeerError} STREAM_LIMIT, DUPLICATE_ID */
  add(call: RouteCall): void {
    if (call.settled) throw new ConnectionError('The stream started after its request had ended.');
    if (this.calls.size >= this.max)
      throw new PeerError(ErrorCode.StreamLimit, `A connection may have ${this.max} streams open at once.`);
    if (call.id !== undefined) {
      for (const other of this.calls)
        if (other.id === call.id && !other.settled)
          throw new PeerError(ErrorCode.DuplicateId, 'Another stream has this id.');
    }
    this.calls.add(call);
  }

  delete(call: RouteCall): void {
    this.calls.delete(call);
  }
}
