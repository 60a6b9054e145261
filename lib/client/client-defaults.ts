import type { QueueOptions, ReconnectOptions, WebSocketClientOptions } from './client-options.js';

type Defaults = Required<Omit<WebSocketClientOptions, 'url' | 'token' | 'reconnect' | 'queue'>> & {
  url: undefined;
  token: undefined;
  reconnect: Required<ReconnectOptions>;
  queue: Required<QueueOptions>;
};

/** Every option of the client, with its default. */
export const CLIENT_DEFAULTS: Defaults = {
  url: undefined,
  protocols: [],
  token: undefined,
  connectTimeoutMs: 10_000,
  requestTimeoutMs: 10_000,
  reconnect: {
    minDelayMs: 500,
    maxDelayMs: 30_000,
    maxAttempts: Infinity,
    initial: 'document' in globalThis,
  },
  queue: { maxMessages: 100, maxBytes: 262_144, maxAgeMs: 60_000 },
  rejoinRooms: true,
  pingIntervalMs: 25_000,
  pongTimeoutMs: 10_000,
  maxStreamBuffer: 1_024,
  maxHeldBytes: 1_048_576,
  maxUnsentBytes: 4_194_304,
  maxErrorReports: 100,
  events: {},
};
