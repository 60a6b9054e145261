import type { WebSocket } from 'ws';
import type { Delivery } from '../protocol/delivery.js';
import type { WebSocketRoomManager } from '../rooms/room-manager.js';
import type { WebSocketClientManager } from './client-manager.js';

/** Writes an encoded frame to this node's sockets. Deliveries of other nodes enter here, too. */
export class LocalDelivery {
  constructor(
    private readonly clients: WebSocketClientManager,
    private readonly rooms: WebSocketRoomManager,
  ) {}

  /** Hands the same bytes to every local member, once each. */
  deliver({ audience, except, frame }: Delivery): void {
    const excluded = except && except.length > 0 ? new Set(except) : undefined;
    const send = (clientId: string, ws: WebSocket | null | undefined): void => {
      if (ws?.readyState === ws?.OPEN && !excluded?.has(clientId)) ws?.send(frame, TEXT);
    };
    switch (audience.kind) {
      case 'all':
        for (const { clientId, ws } of this.clients.getClients()) send(clientId, ws);
        return;
      case 'clients':
        for (const clientId of new Set(audience.clientIds)) send(clientId, this.#socketOf(clientId));
        return;
      case 'users':
        for (const userId of new Set(audience.userIds.map(String))) {
          for (const { clientId, ws } of this.clients.getUserClients({ userId })) send(clientId, ws);
        }
        return;
      case 'rooms':
        for (const clientId of this.#membersOfAny(audience.roomNames)) send(clientId, this.#socketOf(clientId));
        return;
      default:
        return audience satisfies never;
    }
  }

  #socketOf(clientId: string): WebSocket | null | undefined {
    return this.clients.getClient({ clientId })?.ws;
  }

  #membersOfAny(roomNames: readonly string[]): Iterable<string> {
    const [only] = roomNames;
    if (only !== undefined && roomNames.length === 1) return this.rooms.rooms.get(only) ?? [];
    const members = new Set<string>();
    for (const roomName of roomNames)
      for (const clientId of this.rooms.rooms.get(roomName) ?? []) members.add(clientId);
    return members;
  }
}

const TEXT = { binary: false };
