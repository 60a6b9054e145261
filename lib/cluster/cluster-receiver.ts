import { ConnectionError } from '../errors.js';
import type { Delivery } from '../protocol/delivery.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { ClientNews } from './client-news.js';
import type { IsFirst } from './copies.js';
import type { OrderReceiver } from './order-exchange.js';
import type { Order } from './orders.js';
import type { ClientRecord } from './client-record.js';
import type { ReplicaView } from './replica.js';

/** What the cluster calls on this node after `start()`. */
export interface ClusterReceiver extends ReplicaView, OrderReceiver {
  ownRecords(): Iterable<ClientRecord>;
  ownRecord(clientId: string): ClientRecord | undefined;
  deliver(delivery: Delivery, isFirst?: IsFirst): void;
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
const NOBODY: ClusterReceiver = {
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

/** Passes calls on to the receiver that `start()` names: the parts that make them exist before. */
export class LateReceiver implements Omit<ClusterReceiver, 'deliver' | 'logged'> {
  receiver = NOBODY;

  put(record: ClientRecord, news?: ClientNews): void {
    this.receiver.put(record, news);
  }

  remove(clientId: string): void {
    this.receiver.remove(clientId);
  }

  ownRecords(): Iterable<ClientRecord> {
    return this.receiver.ownRecords();
  }

  ownRecord(clientId: string): ClientRecord | undefined {
    return this.receiver.ownRecord(clientId);
  }

  event(channel: string, message: unknown): void {
    this.receiver.event(channel, message);
  }

  hears(event: string): boolean {
    return this.receiver.hears(event);
  }

  reconnected(): void {
    this.receiver.reconnected();
  }

  obey(order: Order): Promise<unknown> {
    return this.receiver.obey(order);
  }

  describe(error: unknown): ReturnType<OrderReceiver['describe']> {
    return this.receiver.describe(error);
  }
}
