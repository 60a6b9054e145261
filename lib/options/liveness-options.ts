import { FLAG } from '../protocol/check.js';
import { TIME } from './checks.js';
import type { Table } from './option-table.js';

/** Protocol pings that find dead peers. */
export interface HeartbeatOptions {
  /** Milliseconds between two pings. @default 25_000 */
  pingIntervalMs?: number;
  /** Milliseconds to wait for the pong. Then the connection is closed with 4201. @default 10_000 */
  pongTimeoutMs?: number;
}

/** When a connection counts as inactive. */
export interface InactivityOptions {
  /** @deprecated Write `disconnectInactiveClients: false` to switch it off, or the object alone to switch it on. */
  enabled?: boolean;
  /** Milliseconds without a message or a pong. Then the connection is closed with 4208. @default 300_000 */
  inactiveTimeMs?: number;
  /** Milliseconds between two checks. @default a tenth of `inactiveTimeMs`, from 100 to 15000 */
  intervalCheckTimeMs?: number;
  /** @deprecated Write `inactiveTimeMs`. */
  inactiveTime?: number;
  /** @deprecated Write `intervalCheckTimeMs`. */
  intervalCheckTime?: number;
  /** Log each closed connection. @default false */
  log?: boolean;
}

export const HEARTBEAT = {
  pingIntervalMs: { default: 25_000, check: TIME },
  pongTimeoutMs: { default: 10_000, check: TIME },
} satisfies Table<HeartbeatOptions>;

export const INACTIVITY = {
  enabled: { check: FLAG },
  inactiveTimeMs: { default: 300_000, check: TIME },
  intervalCheckTimeMs: {
    fit: ({ inactiveTimeMs }) => Math.min(15_000, Math.max(100, inactiveTimeMs / 10)),
    check: TIME,
  },
  inactiveTime: { check: TIME },
  intervalCheckTime: { check: TIME },
  log: { default: false, check: FLAG },
} satisfies Table<InactivityOptions>;
