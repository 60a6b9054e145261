import { nodeIdOf } from '../cluster/channels.js';
import type { Cluster } from '../cluster/cluster.js';
import type { Order } from '../cluster/orders.js';
import { encode } from '../json-value.js';
import type { Asker } from './registered-client.js';

const REQUEST_TIMEOUT_MS = 10_000;
/** Added to the wait, so that the client's node times out first and says so. */
const ANSWER_MS = 1_000;

/** Asks the nodes of other clients to do something for them. */
export class OtherNodes {
  constructor(
    private readonly cluster: Pick<Cluster, 'order' | 'isOwn'>,
    /** True if clients may exist that aren't known here. */
    private readonly hasUnknown: boolean,
    private readonly failed: (error: unknown, place: string) => void,
  ) {}

  /** Whether another node may have a client that isn't known here. */
  mayHave(clientId: string): boolean {
    return this.hasUnknown && !this.cluster.isOwn(nodeIdOf(clientId));
  }

  order(order: Order): Promise<unknown> {
    return this.cluster.order(order);
  }

  /** Sends an order without waiting. @param place names it in an error report */
  tell(order: Order, place: string): void {
    this.cluster.order(order).catch((error: unknown) => this.failed(error, `${place} on another node`));
  }

  askerOf(clientId: string): Asker {
    return {
      ask: async (type, action, data, timeoutMs = REQUEST_TIMEOUT_MS) => {
        encode({ data }); // checked as on the client's own node
        return this.cluster.order({ op: 'request', clientId, type, action, data, timeoutMs }, timeoutMs + ANSWER_MS);
      },
    };
  }
}
