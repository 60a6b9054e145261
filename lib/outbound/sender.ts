import type { Audience } from '../protocol/delivery.js';
import type { WebSocketMessage } from '../protocol/message.js';
import type { RoomPublisher } from '../history/room-publisher.js';
import type { Presence } from '../presence/presence.js';
import type { SendOptions } from '../protocol/delivery.js';

/**
 * What a `WebSocketService` sends with: a server or an emitter. A promise resolves when the message is handed to Redis, and
 * rejects if it can't be. The rejection needs no handler.
 */
export interface Sender {
  /** Rooms with history; undefined without any. */
  readonly history: RoomPublisher | undefined;
  /** Rooms with presence; undefined without any, and in a process without sockets. */
  readonly presence: Pick<Presence, 'ruleOf' | 'read'> | undefined;
  send(audience: Audience, message: WebSocketMessage, options: SendOptions | undefined): Promise<unknown>;
  emit(channel: string, data: unknown): Promise<unknown>;
  disconnect(clientId: string, code: number | undefined, reason: string | undefined): Promise<unknown>;
  disconnectUser(userId: string | number, code: number, reason: string): Promise<unknown>;
}
