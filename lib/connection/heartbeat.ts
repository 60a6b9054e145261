import { Logger } from '@nestjs/common';
import { type Failed, guarded } from '../guarded.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { CloseCode } from '../protocol/close-codes.js';
import type { System } from '../system.js';
import type { Connection } from './connection.js';
import { TimeWheel, type Waiting } from './time-wheel.js';

/** From a paused socket, no pong is read before waiting messages are handled. It gets this many times the usual time. */
const PAUSED_FACTOR = 6;
/** A ping is sent after 0.8 to 0.92 of the interval, so that the interval is never exceeded. */
const EARLIEST_SHARE = 0.8;
const SPREAD_SHARE = 0.12;
/** The maximum number of pings in one step, as a multiple of an even spread. */
const CROWD_FACTOR = 4;

/** The state of one connection. Times are monotonic: setting the host's clock must not close a connection. */
interface Pulse extends Waiting {
  /** Undefined for a connection that is gone: the wheel keeps its pulse until it is due. */
  connection: Connection | undefined;
  pingDueAt: number;
  /** 0 while no ping waits for its pong. */
  pingSentAt: number;
  /** The last pong of any kind. An unsolicited one doesn't answer a ping, but is a sign of life. */
  pongSeenAt: number;
}

/**
 * Pings every socket, with one timer for all, spread over the interval. Closes those that don't answer (4201) and, if
 * configured, inactive ones (4208).
 */
export class Heartbeat {
  readonly #logger = new Logger('WebSocketServer');
  readonly #stops: (() => void)[] = [];
  readonly #pulses = new Map<Connection, Pulse>();
  #wheel: TimeWheel<Pulse> | undefined;
  #sweptAt = 0;

  constructor(
    private readonly options: Pick<ResolvedOptions, 'heartbeat' | 'disconnectInactiveClients'>,
    private readonly system: System,
    private readonly failed: Failed,
  ) {}

  start(): void {
    const { heartbeat, disconnectInactiveClients: idle } = this.options;
    if (heartbeat) {
      const stepMs = Math.min(100, Math.max(10, Math.min(heartbeat.pingIntervalMs, heartbeat.pongTimeoutMs) / 20));
      this.#sweptAt = this.system.clock.now();
      this.#wheel = new TimeWheel(this.#sweptAt, stepMs, heartbeat.pingIntervalMs);
      for (const pulse of this.#pulses.values()) this.#wheel.add(pulse, pulse.pingDueAt);
      this.#every(stepMs, (now) => this.#sweep(heartbeat, stepMs, now));
    }
    if (idle.enabled) this.#every(idle.intervalCheckTimeMs, (now) => this.#closeIdle(idle.inactiveTimeMs, now));
  }

  stop(): void {
    for (const stop of this.#stops.splice(0)) stop();
    this.#wheel = undefined;
  }

  watch(connection: Connection): void {
    const { clock, ids } = this.system;
    const pingDueAt = clock.now() + this.#intervalMs * (EARLIEST_SHARE + SPREAD_SHARE) * ids.random();
    const pulse: Pulse = { connection, pingDueAt, pingSentAt: 0, pongSeenAt: 0, tick: 0 };
    this.#pulses.set(connection, pulse);
    this.#wheel?.add(pulse, pingDueAt);
  }

  forget(connection: Connection): void {
    const pulse = this.#pulses.get(connection);
    if (pulse) pulse.connection = undefined;
    this.#pulses.delete(connection);
  }

  /** @param payload of the pong: that of our ping, if it answers one */
  pongReceived(connection: Connection, payload: Buffer): void {
    connection.noteActivity();
    const pulse = this.#pulses.get(connection);
    if (!pulse) return;
    const now = this.system.clock.now();
    pulse.pongSeenAt = now;
    if (!isAnswer(payload, pulse.pingSentAt)) return;
    if (!wasPausedSince(pulse.pingSentAt, connection)) connection.client.roundTripMs = now - pulse.pingSentAt;
    // Random: connections that began together drift apart.
    pulse.pingDueAt = pulse.pingSentAt + this.#intervalMs * (EARLIEST_SHARE + SPREAD_SHARE * this.system.ids.random());
    pulse.pingSentAt = 0;
    this.#wheel?.add(pulse, pulse.pingDueAt);
  }

  /**
   * Judges who was silent up to now, once everything that came by then is read: after this process stood still, its timers run
   * before its sockets are read.
   */
  #every(ms: number, judge: (now: number) => void): void {
    const onceRead = guarded('the heartbeat', this.failed, (now: number) => this.#stops.length > 0 && judge(now));
    const { clock } = this.system;
    const tick = (): void => {
      const now = clock.now();
      clock.soon(() => onceRead(now));
    };
    this.#stops.push(clock.every(ms, tick));
  }

  get #intervalMs(): number {
    return this.options.heartbeat ? this.options.heartbeat.pingIntervalMs : 0;
  }

  #sweep(
    { pingIntervalMs, pongTimeoutMs }: { pingIntervalMs: number; pongTimeoutMs: number },
    stepMs: number,
    now: number,
  ): void {
    // The machine slept: pongs are still under way.
    const isLate = now - this.#sweptAt > stepMs + pongTimeoutMs / 4;
    this.#sweptAt = now;
    let pingsLeft = Math.max(10, Math.ceil((CROWD_FACTOR * this.#pulses.size * stepMs) / pingIntervalMs));
    const wheel = this.#wheel as TimeWheel<Pulse>;
    for (const pulse of wheel.due(now)) {
      const { connection } = pulse;
      if (!connection) continue;
      if (pulse.pingSentAt === 0) {
        if (pingsLeft > 0 && now >= pulse.pingDueAt) {
          pingsLeft--;
          pulse.pingSentAt = this.system.clock.now();
          ping(connection, pulse.pingSentAt);
          wheel.add(pulse, pulse.pingSentAt + pongTimeoutMs);
        } else wheel.add(pulse, pulse.pingDueAt);
        continue;
      }
      const allowedMs = pongTimeoutMs * (wasPausedSince(pulse.pingSentAt, connection) ? PAUSED_FACTOR : 1);
      const deadline = Math.max(pulse.pingSentAt, pulse.pongSeenAt) + allowedMs;
      if (isLate || now < deadline) wheel.add(pulse, deadline);
      else connection.close(CloseCode.NoPong, 'no pong');
    }
  }

  #closeIdle(inactiveTimeMs: number, now: number): void {
    for (const connection of this.#pulses.keys()) {
      if (connection.isPaused || now - connection.activeAt < inactiveTimeMs) continue;
      if (this.options.disconnectInactiveClients.log) {
        this.#logger.log(
          `Closing client ${connection.clientId} at ${connection.client.ip}: idle for ${inactiveTimeMs} ms.`,
        );
      }
      connection.close(CloseCode.Idle, 'idle');
    }
  }
}

/** The payload of a ping is its time. So its pong is recognised, and a peer can't answer a ping that it hasn't seen. */
function ping({ ws }: Connection, sentAt: number): void {
  const payload = Buffer.allocUnsafe(8);
  payload.writeDoubleBE(sentAt);
  ws.ping(payload);
}

const isAnswer = (payload: Buffer, pingSentAt: number): boolean =>
  pingSentAt !== 0 && payload.length === 8 && payload.readDoubleBE() === pingSentAt;

const wasPausedSince = (at: number, { isPaused, resumedAt }: Connection): boolean => isPaused || resumedAt >= at;
