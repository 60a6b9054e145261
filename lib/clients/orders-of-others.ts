import type { Order } from '../cluster/orders.js';
import { PeerError, RemoteError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { isA } from '../protocol/thrown.js';
import { describeError } from '../routing/describe-error.js';
import type { WebSocketClientManager } from './client-manager.js';
import type { Clients } from './clients.js';
import type { Membership } from './membership.js';

/** Carries out other nodes' orders for clients of this node. */
export class OrdersOfOthers {
  constructor(
    private readonly clients: Clients,
    private readonly manager: WebSocketClientManager,
    private readonly membership: Membership,
  ) {}

  /** @throws {PeerError} NOT_FOUND for a client that isn't here, and whatever the client or the application throws */
  async obey(order: Order): Promise<unknown> {
    const client = this.clients.table.get(order.clientId);
    if (!client?.ws) throw new PeerError(ErrorCode.NotFound, 'The client is not connected any more.');
    const { clientId } = client;
    switch (order.op) {
      case 'disconnect':
        return this.manager.disconnectClient(clientId, { code: order.code, reason: order.reason });
      case 'join':
        await this.membership.join(client, order.request);
        return true;
      case 'leave':
        return this.clients.leave(clientId, order.roomName, 'here');
      case 'leaveAll':
        return this.clients.leaveAll(clientId, 'here');
      case 'update':
        return this.clients.update(clientId, order.key, order.data, 'here');
      case 'request':
        return client.request(order.type, order.action, order.data, { timeoutMs: order.timeoutMs });
      default:
        return order satisfies never;
    }
  }
}

/** Describes an error for the node that sent the order. An error that a client answered is passed on unchanged. */
export function describeForNode(error: unknown): { code: string; error: string; details?: unknown } {
  if (!isA(error, RemoteError)) return describeError(error);
  const { code, message, details } = error;
  return { code, error: message, details };
}
