import { Logger } from '@nestjs/common';
import type { ResolvedOptions } from '../resolve-options.js';
import { CloseCode } from '../protocol/close-codes.js';
import type { Connections } from './connections.js';

/**
 * Pings every socket on one shared sweep, closes those that don't answer (4201) and, when asked to, those that have been
 * idle (4208). A socket whose reading is paused is left alone: its pong can't be seen.
 */
export class Heartbeat {
  readonly #logger = new Logger('WebSocketServer');
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(
    private readonly options: Pick<ResolvedOptions, 'heartbeat' | 'disconnectInactiveClients'>,
    private readonly connections: Pick<Connections, 'open' | 'disconnect'>,
  ) {}

  start(): void {
    const { heartbeat, disconnectInactiveClients: idle } = this.options;
    if (heartbeat) {
      const step = Math.max(50, Math.min(heartbeat.pingIntervalMs, heartbeat.pongTimeoutMs) / 5);
      this.#timers.push(setInterval(() => this.#beat(heartbeat), step).unref());
    }
    if (idle.enabled) {
      this.#timers.push(setInterval(() => this.#closeIdle(idle.inactiveTime), idle.intervalCheckTime).unref());
    }
  }

  stop(): void {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
  }

  #beat({ pingIntervalMs, pongTimeoutMs }: { pingIntervalMs: number; pongTimeoutMs: number }): void {
    const now = Date.now();
    for (const connection of this.connections.open) {
      if (connection.isPaused) continue;
      if (connection.pingSentAt > 0) {
        if (now - connection.pingSentAt >= pongTimeoutMs)
          this.connections.disconnect(connection.client, CloseCode.NoPong, 'no pong');
      } else if (now - connection.pongSeenAt >= pingIntervalMs) {
        connection.ping(now);
      }
    }
  }

  #closeIdle(inactiveTime: number): void {
    const now = Date.now();
    for (const connection of this.connections.open) {
      if (connection.isPaused || now - connection.client.lastActivity < inactiveTime) continue;
      if (this.options.disconnectInactiveClients.log) {
        this.#logger.log(`Closing client ${connection.clientId}: idle for ${inactiveTime} ms.`);
      }
      this.connections.disconnect(connection.client, CloseCode.Idle, 'idle');
    }
  }
}
