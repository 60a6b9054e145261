import { Injectable } from '@nestjs/common';
import {
  type SubscriberEvent,
  WebSocketRedisSubscriberEvent as Event,
  WebSocketClientManager,
  WsSubscribe,
} from '@scpxl/nestjs-websocket';
import type { JobNews as News } from './queue.js';

/**
 * Tells users how their jobs ended. Every web process hears of every job, so each tells the connections that it has
 * itself: with many of them the user still hears it once.
 */
@Injectable()
export class JobNews {
  constructor(private readonly clients: WebSocketClientManager) {}

  @WsSubscribe(Event.QueueJobCompleted)
  completed(event: SubscriberEvent): void {
    this.#tell('completed', event);
  }

  @WsSubscribe(Event.QueueJobError)
  failed(event: SubscriberEvent): void {
    this.#tell('failed', event);
  }

  #tell(action: string, { message, webSocketServer }: SubscriberEvent): void {
    const { userId, job } = message as News;
    for (const { ws } of this.clients.getUserClients({ userId })) {
      if (ws) webSocketServer.sendClientMessage(ws, { type: 'primes', action, data: job });
    }
  }
}
