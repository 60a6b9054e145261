import type { Clock } from '../clock.js';
import { ConnectionError, NotSerializableError, RemoteError } from '../errors.js';
import { guarded } from '../guarded.js';
import { askOnce, PendingRequests } from '../pending-requests.js';
import { isObject, JunkError } from './bus-input.js';
import { type Order, readAnswer, readOrder } from './orders.js';

/** Carries out the orders of other nodes. */
export interface OrderReceiver {
  /** Does it for a client of this node. */
  obey(order: Order): Promise<unknown>;
  /** What the other node may know about an error. */
  describe(error: unknown): { code: string; error: string; details?: unknown };
}

/** Sends orders to other nodes and matches their answers. */
export class OrderExchange {
  readonly #pending: PendingRequests<unknown>;

  constructor(
    private readonly bus: { order(nodeId: string, message: object): Promise<unknown> },
    private readonly receiver: OrderReceiver,
    clock: Pick<Clock, 'after'>,
    private readonly failed: (error: Error, place?: string) => void,
  ) {
    this.#pending = new PendingRequests((ms, late) => clock.after(ms, late));
  }

  /** @throws {NotPublishedError} @throws {NotSerializableError} @throws {TimeoutError} @throws {RemoteError} */
  send(nodeId: string, order: Order, timeoutMs: number): Promise<unknown> {
    return askOnce(this.#pending, `The answer of node ${nodeId}`, timeoutMs, (id) => {
      this.bus.order(nodeId, { id, ...order }).catch((error: Error) => this.#pending.find(id)?.settle(error));
    });
  }

  /** Another node's order, or its answer to one of ours. @throws {JunkError} */
  receive(from: string, message: unknown): void {
    const id = isObject(message) ? message['id'] : undefined;
    if (!isObject(message) || typeof id !== 'number')
      throw new JunkError(`Node ${from} sent something that isn't an order.`);
    if (message['op'] !== 'answer') return this.#obey(from, id, message);
    const { error, result } = readAnswer(message);
    const request = this.#pending.find(id);
    if (error) request?.settle(new RemoteError(error.code, error.error, error.details));
    else request?.answer(result, true);
  }

  stop(): void {
    this.#pending.failAll(new ConnectionError('This node is stopping.'));
  }

  readonly #obey = guarded(
    'an order of a node',
    (error, place) => this.failed(error, place),
    async (from: string, id: number, message: Record<string, unknown>) => {
      const answer = await (async () => this.receiver.obey(readOrder(message)))().then(
        (result) => ({ result }),
        (error: unknown) => ({ error: this.receiver.describe(error) }),
      );
      await this.bus.order(from, { op: 'answer', id, ...answer }).catch((error: unknown) => {
        if (!(error instanceof NotSerializableError)) return; // it was counted, and the other node's wait times out
        void this.bus.order(from, { op: 'answer', id, error: this.receiver.describe(error) });
      });
    },
  );
}
