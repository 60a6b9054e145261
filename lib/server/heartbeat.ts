import type { ResolvedOptions } from '../resolve-options.js';
import { CloseCode } from '../protocol/close-codes.js';
import type { Connection } from './connection.js';

type Close = (connection: Connection, code: number, reason: string) => void;

/**
 * Pings every socket on one shared sweep, closes those that don't answer (4201) and, when asked to, those that have been
 * idle (4208). A socket whose reading is paused is left alone: its pong can't be seen.
 */
export class Heartbeat {
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(
    private readonly options: Pick<ResolvedOptions, 'heartbeat' | 'disconnectInactiveClients'>,
    private readonly connections: ReadonlySet<Connection>,
    private readonly close: Close,
    private readonly logIdle: (clientId: string) => void,
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
    for (const connection of this.connections) {
      if (connection.isPaused) continue;
      if (connection.pingSentAt > 0) {
        if (now - connection.pingSentAt >= pongTimeoutMs) this.close(connection, CloseCode.NoPong, 'no pong');
      } else if (now - connection.pongSeenAt >= pingIntervalMs) {
        connection.ping(now);
      }
    }
  }

  #closeIdle(inactiveTime: number): void {
    const now = Date.now();
    for (const connection of this.connections) {
      if (connection.isPaused || now - connection.client.lastActivity < inactiveTime) continue;
      if (this.options.disconnectInactiveClients.log) this.logIdle(connection.clientId);
      this.close(connection, CloseCode.Idle, 'idle');
    }
  }
}
