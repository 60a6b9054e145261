import { ConnectionError } from '../errors.js';
import type { Delivery } from '../protocol/delivery.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { OrderReceiver } from './order-exchange.js';
import type { ClientRecord } from './client-record.js';
import type { ReplicaView } from './replica.js';

/** What the cluster calls on this node, from `start()` on. */
export interface ClusterReceiver extends ReplicaView, OrderReceiver {
  /** The clients of this node. */
  ownRecords(): Iterable<ClientRecord>;
  deliver(delivery: Delivery): void;
  /** @param bytes the message as another program wrote it */
  event(channel: string, message: unknown, bytes?: Uint8Array): void;
  /** Whether anybody listens to this event. */
  hears(event: string): boolean;
  /** What the log of a room announces. */
  logged(roomName: string, text: string): void;
  /** The bus was away: messages of that time are lost. */
  reconnected(): void;
}

/** Until `start()`. */
export const NOBODY: ClusterReceiver = {
  put: () => undefined,
  remove: () => undefined,
  ownRecords: () => [],
  deliver: () => undefined,
  event: () => undefined,
  hears: () => false,
  logged: () => undefined,
  reconnected: () => undefined,
  obey: () => Promise.reject(new ConnectionError('This node has not started.')),
  describe: () => ({ code: ErrorCode.Unavailable, error: 'This node has not started.' }),
};
