import { AUTH } from '../auth/auth-options.js';
import { CONNECT } from '../admission/connect-options.js';
import { type Check, FLAG } from '../protocol/check.js';
import { CLIENT_OPTIONS } from '../client/client-option-table.js';
import { NODE_OPTIONS } from '../client/websocket-client.js';
import { type TrustProxy, trustOf } from '../limits/client-address.js';
import {
  CALLBACK,
  COUNT,
  COUNT_OR_0,
  FALSE_OR_OBJECT,
  isFunction,
  isObject,
  isText,
  isTextList,
  OBJECT,
  oneOf,
} from './checks.js';
import { CLIENT_LIST } from './client-list-options.js';
import { LIMITS } from './limit-options.js';
import { HEARTBEAT, INACTIVITY } from './liveness-options.js';
import { MESSAGES } from './message-options.js';
import { namesIn, type Table } from './option-table.js';
import { KEYS } from './key-options.js';
import { BACKPRESSURE, DELIVERY, DRAIN } from './outbound-options.js';
import { ROOMS } from './room-options.js';
import { EVENTS } from './websocket-events.js';
import type {
  ClientSectionOptions,
  DebugOptions,
  RouteOptions,
  ServerOptions,
  UserOptions,
} from './websocket-options.js';

const URL_OR_PATH: Check = {
  holds: (value) => isText(value) && (value.startsWith('/') || isWsUrl(value)),
  must: "a ws:// or wss:// URL, or a path such as '/ws'",
};

const PATH: Check = {
  holds: (value) => isText(value) && /^\/[^?#\s]*$/.test(value),
  must: "a path that starts with '/', without '?' or '#', such as '/ws'",
};

const PUBLIC_HOST: Check = {
  holds: isPublicHost,
  must:
    "the public host such as 'chat.example.com', without scheme or path; pass the address to listen on to app.listen(): " +
    "app.listen(3000, '0.0.0.0')",
};

const REDIS: Check = {
  holds: isRedis,
  must:
    "a redis:// or rediss:// URL such as 'redis://127.0.0.1:6379', ioredis options without a URL in them, or an ioredis " +
    'connection',
};

const PREFIX: Check = {
  holds: (value) => isText(value) && /^[A-Za-z0-9:_.-]{1,64}$/.test(value),
  must: 'a text of 1–64 characters of A–Z a–z 0–9 : _ . -',
};

const TRUST_PROXY: Check = {
  holds: isTrustProxy,
  must: "true, false, a number of proxies, or addresses and ranges such as '10.0.0.0/8'",
};

const ORIGINS: Check = {
  holds: (value) => isFunction(value) || (Array.isArray(value) && value.every(isOrigin)),
  must: "a list of exact origins such as 'https://app.example.com' (no path) and patterns, or a function",
};

const ROUTES: Check = {
  holds: (value) => isObject(value) && !Array.isArray(value),
  must: 'an object, { globalGuards }. A list of routes is gone: put @WsRoute(type, action) on a method of any provider',
};

const CLIENT = {
  headers: NODE_OPTIONS.headers,
  token: CLIENT_OPTIONS.token,
  tls: NODE_OPTIONS.tls,
  agent: NODE_OPTIONS.agent,
  connectTimeoutMs: CLIENT_OPTIONS.connectTimeoutMs,
  reconnect: CLIENT_OPTIONS.reconnect,
} satisfies Table<ClientSectionOptions>;

/**
 * Every option, with its default and its check. `docs/options.md` is generated from this and from the doc comments of
 * the types.
 */
export const OPTIONS = {
  enabled: { default: true, check: FLAG },
  type: { default: 'server', check: oneOf('server', 'client', 'emitter') },
  path: { default: '/ws', check: PATH },
  url: { check: URL_OR_PATH },
  host: { check: PUBLIC_HOST },
  redis: { check: REDIS },
  prefix: { default: 'pxl', check: PREFIX },
  registry: { default: 'replicated', check: oneOf('replicated', 'local') },
  autoStart: { default: true, check: FLAG },
  debug: { check: OBJECT, fields: { printRoutes: { default: false, check: FLAG } } satisfies Table<DebugOptions> },
  routes: { check: ROUTES, fields: { globalGuards: { default: true, check: FLAG } } satisfies Table<RouteOptions> },
  maxConnections: { default: 10_000, check: COUNT, unit: 'connections' },
  trustProxy: { default: false, check: TRUST_PROXY },
  limits: { check: OBJECT, fields: LIMITS },
  origins: { default: [], check: ORIGINS },
  auth: { check: OBJECT, fields: AUTH },
  connect: { check: OBJECT, fields: CONNECT },
  users: { check: OBJECT, fields: { load: { check: CALLBACK } } satisfies Table<UserOptions> },
  rooms: { check: OBJECT, fields: ROOMS },
  presence: {
    default: [],
    check: { holds: (value) => Array.isArray(value) && value.every(isObject), must: 'a list of rules { match, … }' },
  },
  messages: { check: OBJECT, fields: MESSAGES },
  keys: { check: OBJECT, fields: KEYS },
  heartbeat: { check: FALSE_OR_OBJECT, fields: HEARTBEAT },
  disconnectInactiveClients: { default: false, check: FALSE_OR_OBJECT, fields: INACTIVITY },
  clientList: { check: FALSE_OR_OBJECT, fields: CLIENT_LIST },
  backpressure: { check: OBJECT, fields: BACKPRESSURE },
  delivery: { check: OBJECT, fields: DELIVERY },
  drain: { check: OBJECT, fields: DRAIN },
  events: { check: OBJECT, fields: EVENTS },
  subscriberEventHandler: { check: CALLBACK },
  client: { check: OBJECT, fields: CLIENT },
} satisfies Table<ServerOptions>;

/** The names of all options, sections included. */
export const OPTION_NAMES: readonly string[] = namesIn(OPTIONS);

/** An address to listen on, such as `0.0.0.0`, can't be a public host: no page has it as its origin. */
function isPublicHost(value: unknown): boolean {
  if (!isText(value) || /[/\s*?#@]/.test(value) || !URL.canParse(`http://${value}`)) return false;
  const { hostname } = new URL(`http://${value}`);
  return hostname !== '0.0.0.0' && hostname !== '[::]';
}

/** ioredis takes any text for a host name and ignores a `url` among its options. It would try to connect for ever. */
function isRedis(value: unknown): boolean {
  if (!isText(value)) return isObject(value) && !Array.isArray(value) && !Object.hasOwn(value, 'url');
  return value.startsWith('/') || (/^rediss?:\/\//.test(value) && URL.canParse(value));
}

function isTrustProxy(value: unknown): boolean {
  if (typeof value === 'number') return COUNT_OR_0.holds(value);
  if (typeof value !== 'boolean' && !isText(value) && !isTextList(value)) return false;
  try {
    return Boolean(trustOf(value as TrustProxy));
  } catch {
    return false; // not an address
  }
}

const isWsUrl = (text: string): boolean => URL.canParse(text) && /^wss?:$/.test(new URL(text).protocol);

function isOrigin(value: unknown): boolean {
  if (value instanceof RegExp) return true;
  return typeof value === 'string' && (value === '*' || (URL.canParse(value) && new URL(value).origin === value));
}
