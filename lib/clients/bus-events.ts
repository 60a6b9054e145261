import { isUtf8 } from 'node:buffer';
import type { Farewell } from '../deprecated.js';
import { InvalidMessageError } from '../errors.js';
import { WebSocketRedisSubscriberEvent as Event } from '../protocol/events.js';
import { isRouteName } from '../protocol/names.js';
import type { Presence } from '../presence/presence.js';
import type { WebSocketClientManager } from './client-manager.js';
import { type Outgoing, plainError } from '../outbound/outgoing.js';

/**
 * Obeys the events of the bus that are orders to this module, whoever published them. Their shape is checked.
 * @throws {InvalidMessageError} for a message that no client could read
 */
export function obeyEvent(
  { channel, message, bytes }: { channel: string; message: unknown; bytes?: Uint8Array | undefined },
  outgoing: Outgoing,
  clients: WebSocketClientManager,
  presence?: Pick<Presence, 'dismissUser'>,
): void {
  const order = (typeof message === 'object' && message !== null ? message : {}) as Record<string, unknown>;
  const clientId = order['clientId'] ?? order['webSocketClientId'];
  if (channel === Event.SendMessageToAll) {
    if (!isRouteName(order['type']) || !isRouteName(order['action'])) throw new InvalidMessageError();
    // The original bytes: JavaScript would round a number with more digits than it can hold.
    outgoing.toThisNode({ kind: 'all' }, message, {}, bytes && isUtf8(bytes) ? bytes : undefined);
  } else if (channel === Event.MessageError && typeof clientId === 'string') {
    const error = typeof order['error'] === 'string' ? order['error'] : 'An error occurred.';
    outgoing.toThisNode({ kind: 'clients', clientIds: [clientId] }, plainError(error));
  } else if (channel === Event.DisconnectClient && typeof clientId === 'string') {
    if (!clients.getClient({ clientId, requireWs: true })) return; // the client's own node gets this event, too
    clients.disconnectClient(clientId, farewellIn(order));
  } else if (channel === Event.DisconnectUser) {
    const { userId } = order;
    if (typeof userId !== 'string' && typeof userId !== 'number') return;
    disconnectUserHere(clients, userId, farewellIn(order));
    presence?.dismissUser(userId);
  }
}

/** Closes the connections that a user has on this node. */
export function disconnectUserHere(clients: WebSocketClientManager, userId: string | number, farewell: Farewell): void {
  for (const { clientId, ws } of clients.getUserClients({ userId })) {
    if (ws) clients.disconnectClient(clientId, farewell);
  }
}

const farewellIn = ({ code, reason }: Record<string, unknown>): Farewell => ({
  ...(typeof code === 'number' ? { code } : {}),
  ...(typeof reason === 'string' ? { reason } : {}),
});
