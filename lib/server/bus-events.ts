import { WebSocketRedisSubscriberEvent as Event } from '../protocol/events.js';
import type { WebSocketClientManager } from './client-manager.js';
import { type Outgoing, plainError } from './outgoing.js';

/** Some events of the bus are orders to this module, whoever published them; their shape is checked, never trusted. */
export function obeyEvent(
  channel: string,
  message: unknown,
  outgoing: Outgoing,
  clients: WebSocketClientManager,
): void {
  const order = (typeof message === 'object' && message !== null ? message : {}) as Record<string, unknown>;
  const clientId = order['clientId'] ?? order['webSocketClientId'];
  if (channel === Event.SendMessageToAll) {
    if (message === order && !Array.isArray(message)) outgoing.toThisNode({ kind: 'all' }, message);
  } else if (channel === Event.MessageError && typeof clientId === 'string') {
    const error = typeof order['error'] === 'string' ? order['error'] : 'An error occurred.';
    outgoing.toThisNode({ kind: 'clients', clientIds: [clientId] }, plainError(error));
  } else if (channel === Event.DisconnectClient && typeof clientId === 'string') {
    if (!clients.getClient({ clientId, requireWs: true })) return; // its own node hears this, too
    const { code, reason } = order;
    clients.disconnectClient({
      clientId,
      ...(typeof code === 'number' ? { code } : {}),
      ...(typeof reason === 'string' ? { reason } : {}),
    });
  }
}
