import { nodeIdOf } from '../cluster/channels.js';
import type { Cluster } from '../cluster/cluster.js';
import type { Order } from '../cluster/orders.js';
import { RemoteError } from '../errors.js';
import { encode } from '../json-value.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { isA } from '../protocol/thrown.js';
import type { Asker } from './registered-client.js';

const REQUEST_TIMEOUT_MS = 10_000;
/** What wasn't answered by then is lost, or its news say what came of it. */
const TELL_MS = 5_000;
/** Added to the wait, in ms, so that the client's node times out first and reports it. */
const ANSWER_MS = 1_000;

/** Sends orders for clients of other nodes to these nodes. */
export class OtherNodes {
  constructor(
    private readonly cluster: Pick<Cluster, 'order' | 'isOwn' | 'showAgain'>,
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

  /**
   * Sends an order without waiting. What was already shown of it is taken back when it fails.
   * @param place names it in an error report
   */
  tell(order: Order, place: string): void {
    this.cluster.order(order, TELL_MS).catch((error: unknown) => {
      if (!isGone(error)) this.failed(error, `${place} on another node`);
      this.cluster.showAgain(order.clientId);
    });
  }

  /**
   * Tells the node of a client. It may know of a join that isn't known here yet, or of a client that isn't.
   * @param client undefined for a client that isn't known here
   * @returns false if no other node has it
   */
  tellNodeOf(client: { readonly ws: unknown } | undefined, order: Order, place: string): boolean {
    const isElsewhere = client ? client.ws === null : this.mayHave(order.clientId);
    if (isElsewhere) this.tell(order, place);
    return isElsewhere;
  }

  askerOf(clientId: string): Asker {
    return {
      ask: async (type, action, data, timeoutMs = REQUEST_TIMEOUT_MS) => {
        encode({ data }); // throws what the client's own node would throw
        return this.cluster.order({ op: 'request', clientId, type, action, data, timeoutMs }, timeoutMs + ANSWER_MS);
      },
    };
  }
}

/** The client has left meanwhile, so there is nothing to do. */
const isGone = (error: unknown): boolean => isA(error, RemoteError) && error.code === ErrorCode.NotFound;
