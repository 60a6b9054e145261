import { ConnectionError } from '../errors.js';
import type { Delivery } from '../protocol/delivery.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { OrderReceiver } from './order-exchange.js';
import type { ClientRecord } from './client-record.js';
import type { ReplicaView } from './replica.js';

/** What the cluster calls on this node after `start()`. */
export interface ClusterReceiver extends ReplicaView, OrderReceiver {
  ownRecords(): Iterable<ClientRecord>;
  ownRecord(clientId: string): ClientRecord | undefined;
  deliver(delivery: Delivery): void;
  /** @param bytes the JSON that another program wrote */
  event(channel: string, message: unknown, bytes?: Uint8Array): void;
  /** Whether anybody subscribes to this event. */
  hears(event: string): boolean;
  /** A room's log announces a publication. */
  logged(roomName: string, text: string): void;
  /** The bus is back. Messages that were sent meanwhile are lost. */
  reconnected(): void;
}

/** Used before `start()`. */
export const NOBODY: ClusterReceiver = {
  put: () => undefined,
  remove: () => undefined,
  ownRecords: () => [],
  ownRecord: () => undefined,
  deliver: () => undefined,
  event: () => undefined,
  hears: () => false,
  logged: () => undefined,
  reconnected: () => undefined,
  obey: () => Promise.reject(new ConnectionError('This node has not started.')),
  describe: () => ({ code: ErrorCode.Unavailable, error: 'This node has not started.' }),
};
