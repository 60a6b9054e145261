import type { Audience } from '../protocol/delivery.js';
import type { WebSocketMessage } from '../protocol/message.js';
import type { HistoryPage, HistoryQuery, PublishOptions } from '../history/history.js';
import type { HistoryRule } from '../history/history-rule.js';
import type { Appended } from '../history/room-log.js';
import type { RoomPosition } from '../protocol/message.js';
import type { SendOptions } from '../protocol/delivery.js';

/** What a service does with rooms with history. */
export interface RoomPublisher {
  ruleOf(roomName: string): HistoryRule | undefined;
  publish(roomName: string, message: WebSocketMessage, options?: PublishOptions): Promise<Appended>;
  position(roomName: string): Promise<RoomPosition>;
  page(roomName: string, query: HistoryQuery): Promise<HistoryPage>;
  clear(roomName: string): Promise<RoomPosition>;
}

/**
 * What a service sends with: a server or an emitter. A promise resolves when the message is handed to Redis, and
 * rejects if it can't be. Nobody has to handle a rejection.
 */
export interface Sender {
  /** Rooms with history; undefined without any. */
  readonly history: RoomPublisher | undefined;
  send(audience: Audience, message: WebSocketMessage, options: SendOptions | undefined): Promise<unknown>;
  emit(channel: string, data: unknown): Promise<unknown>;
  disconnect(clientId: string, code: number | undefined, reason: string | undefined): Promise<unknown>;
  disconnectUser(userId: string | number, code: number, reason: string): Promise<unknown>;
}
