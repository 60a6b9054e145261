import type { PerMessageDeflateOptions } from 'ws';
import { authFlaws, originFlaws } from '../auth/auth-flaws.js';
import { DEFAULT_COOKIE, DEFAULT_SOURCES, type TokenSource } from '../auth/tokens.js';
import { MAX_TIMER_MS } from '../client/client-options.js';
import { InvalidOptionsError } from '../errors.js';
import { type TrustProxy, trustOf } from '../limits/client-address.js';
import type { MessageLimitsOptions } from '../limits/message-limits.js';
import type { ConnectionLimitsOptions } from '../admission/connection-limits.js';
import type { Rate } from '../limits/rate.js';
import { DEEPEST } from '../protocol/codec.js';
import { pathFlaws } from '../protocol/path-pattern.js';
import type { BackpressurePolicy } from '../protocol/delivery.js';
import { oldNameFlaws, withNewNames } from './old-names.js';
import { unknownOption } from './unknown-options.js';
import type { ServerOptions } from './websocket-options.js';

/** Every default, here alone. */
export const DEFAULTS = {
  path: '/ws',
  prefix: 'pxl',
  registry: 'replicated' as 'replicated' | 'local',
  maxConnections: 10_000,
  trustProxy: false as TrustProxy,
  limits: {
    messages: { perSecond: 30, burst: 60, bytesPerSecond: 262_144, strikes: 3, strikeWindowMs: 10_000 },
    perUser: false as false | Rate,
    perIp: false as false | Rate,
    connectionsPerUser: 20 as false | number,
    connectionsPerIp: false as false | number,
    handshakesPerIp: false as false | Rate,
    firstMessageTimeoutMs: false as false | number,
  },
  routes: { globalGuards: true },
  rooms: {
    clientCanJoinMultipleRooms: true,
    maxPerClient: 100,
    protectedPrefixes: ['private:', 'user:', 'system:'],
  },
  disconnectInactiveClients: { enabled: false, inactiveTimeMs: 300_000, log: false },
  auth: {
    required: true,
    timeoutMs: 5_000,
    tokenFrom: [...DEFAULT_SOURCES],
    cookieName: DEFAULT_COOKIE,
    usesCookies: false,
  },
  connect: {
    guards: [] as NonNullable<NonNullable<ServerOptions['connect']>['guards']>,
    filters: [] as NonNullable<NonNullable<ServerOptions['connect']>['filters']>,
    timeoutMs: 5_000,
  },
  messages: {
    maxPayload: 65_536,
    maxFragments: 128,
    maxBufferedChunks: 4_096,
    perMessageDeflate: false as NonNullable<NonNullable<ServerOptions['messages']>['perMessageDeflate']>,
    maxDepth: 32,
    concurrency: 1,
    maxQueued: 64,
    maxQueuedBytes: 131_072,
    processMaxQueuedBytes: 67_108_864,
    handlerTimeoutMs: 10_000,
    maxStreams: 32,
    maxBadFrames: 10,
  },
  heartbeat: { pingIntervalMs: 25_000, pongTimeoutMs: 10_000 },
  clientList: {
    enabled: true,
    publicFields: ['clientId', 'userId', 'username', 'userType', 'rooms'],
    maxClients: 200,
    maxBytes: 32_768,
    minIntervalMs: 250,
  },
  backpressure: {
    policy: 'close' as BackpressurePolicy,
    volatileBytes: 262_144,
    maxBufferedBytes: 1_048_576,
    maxInFlightBytes: 1_048_576 as number | false,
    drainTimeoutMs: 10_000,
    processMaxBufferedBytes: 268_435_456,
  },
  delivery: { flushGapMs: 0, maxBusBytes: 67_108_864 },
  drain: { spreadMs: 5_000, terminateAfterMs: 10_000 },
};

type Section = keyof ServerOptions;
type Given<K extends Section> = Exclude<NonNullable<ServerOptions[K]>, false>;
type Merged<K extends Section & keyof typeof DEFAULTS> = Omit<Given<K>, keyof (typeof DEFAULTS)[K]> &
  (typeof DEFAULTS)[K];

/** The options with every default filled in. */
export interface ResolvedOptions {
  enabled: boolean;
  type: 'server' | 'client' | 'emitter';
  autoStart: boolean;
  host: string | undefined;
  path: string;
  /** Only for `type: 'client'`. */
  url: string;
  printRoutes: boolean;
  routes: { globalGuards: boolean };
  redis: ServerOptions['redis'];
  prefix: string;
  registry: 'replicated' | 'local';
  maxConnections: number;
  trustProxy: TrustProxy;
  limits: MessageLimitsOptions & ConnectionLimitsOptions & { firstMessageTimeoutMs: false | number };
  rooms: Merged<'rooms'>;
  disconnectInactiveClients: Merged<'disconnectInactiveClients'> & {
    intervalCheckTimeMs: number;
    /** @deprecated Read `inactiveTimeMs`. */
    inactiveTime: number;
    /** @deprecated Read `intervalCheckTimeMs`. */
    intervalCheckTime: number;
  };
  auth: Merged<'auth'> | undefined;
  connect: Merged<'connect'>;
  origins: NonNullable<ServerOptions['origins']>;
  messages: Merged<'messages'>;
  heartbeat: Merged<'heartbeat'> | false;
  clientList: Merged<'clientList'>;
  backpressure: Merged<'backpressure'>;
  delivery: Merged<'delivery'>;
  drain: Merged<'drain'>;
  events: NonNullable<ServerOptions['events']>;
  subscriberEventHandler: ServerOptions['subscriberEventHandler'];
  users: NonNullable<ServerOptions['users']>;
  client: NonNullable<ServerOptions['client']>;
}

/**
 * Fills in the defaults.
 * @throws {InvalidOptionsError} naming every field that can't work and what to write instead
 */
export function resolveOptions(options: ServerOptions = {}): ResolvedOptions {
  const flaws = findFlaws(options);
  if (flaws.length > 0) throw new InvalidOptionsError(flaws);

  const given = withNewNames(options);
  const path = given.path ?? pathOf(given.url) ?? DEFAULTS.path;
  return {
    enabled: given.enabled ?? true,
    type: given.type ?? 'server',
    autoStart: given.autoStart ?? true,
    host: given.host,
    path,
    url: clientUrl(given, path),
    printRoutes: given.debug?.printRoutes ?? false,
    routes: merge(DEFAULTS.routes, given.routes),
    redis: given.redis,
    prefix: given.prefix ?? DEFAULTS.prefix,
    registry: given.registry ?? DEFAULTS.registry,
    maxConnections: given.maxConnections ?? DEFAULTS.maxConnections,
    trustProxy: given.trustProxy ?? DEFAULTS.trustProxy,
    limits: resolveLimits(given.limits),
    rooms: merge(DEFAULTS.rooms, given.rooms),
    disconnectInactiveClients: resolveIdle(given.disconnectInactiveClients),
    auth: given.auth && merge(DEFAULTS.auth, given.auth),
    connect: merge(DEFAULTS.connect, given.connect),
    origins: given.origins ?? [],
    messages: resolveMessages(given.messages),
    heartbeat: given.heartbeat === false ? false : merge(DEFAULTS.heartbeat, given.heartbeat),
    clientList: merge(DEFAULTS.clientList, given.clientList === false ? { enabled: false } : given.clientList),
    backpressure: resolveBackpressure(given.backpressure),
    delivery: merge(DEFAULTS.delivery, given.delivery),
    drain: resolveDrain(given.drain),
    events: given.events ?? {},
    subscriberEventHandler: given.subscriberEventHandler,
    users: given.users ?? {},
    client: given.client ?? {},
  };
}

function resolveIdle(given: ServerOptions['disconnectInactiveClients']): ResolvedOptions['disconnectInactiveClients'] {
  const isOn = given !== undefined && given !== false && given.enabled !== false;
  const merged = { ...merge(DEFAULTS.disconnectInactiveClients, given || undefined), enabled: isOn };
  const { inactiveTimeMs, intervalCheckTimeMs = Math.min(15_000, Math.max(100, inactiveTimeMs / 10)) } = merged;
  return { ...merged, intervalCheckTimeMs, inactiveTime: inactiveTimeMs, intervalCheckTime: intervalCheckTimeMs };
}

function resolveLimits(given: ServerOptions['limits']): ResolvedOptions['limits'] {
  const messages = given?.messages === false ? false : merge(DEFAULTS.limits.messages, given?.messages);
  return { ...merge(DEFAULTS.limits, { ...given, messages: undefined }), messages };
}

/**
 * One larger message must be possible in as small parts as before: fragments of 512 bytes, segments of 256 (those of TCP have 536
 * or more). A client that sends in parts of 4 KiB would meet these limits long before `maxPayload`.
 */
function resolveMessages(given: ServerOptions['messages']): ResolvedOptions['messages'] {
  const merged = merge(DEFAULTS.messages, given);
  const { maxPayload, maxFragments, maxBufferedChunks } = merged;
  return {
    ...merged,
    maxFragments: given?.maxFragments ?? Math.max(maxFragments, Math.ceil(maxPayload / 512)),
    maxBufferedChunks: given?.maxBufferedChunks ?? Math.max(maxBufferedChunks, Math.ceil(maxPayload / 256)),
  };
}

function resolveBackpressure(given: ServerOptions['backpressure']): ResolvedOptions['backpressure'] {
  const merged = merge(DEFAULTS.backpressure, given);
  const usual = Math.min(DEFAULTS.backpressure.volatileBytes, Math.floor(merged.maxBufferedBytes / 4));
  return { ...merged, volatileBytes: given?.volatileBytes ?? usual };
}

function resolveDrain(given: ServerOptions['drain']): ResolvedOptions['drain'] {
  const merged = merge(DEFAULTS.drain, given);
  const usual = Math.min(DEFAULTS.drain.spreadMs, Math.floor(merged.terminateAfterMs / 2));
  return { ...merged, spreadMs: given?.spreadMs ?? usual };
}

/** An option written as `undefined` takes its default, as if it had been left out. */
function merge<D extends object, G extends object>(defaults: D, given: G | undefined): Omit<G, keyof D> & D {
  const merged = { ...defaults } as Record<string, unknown>;
  for (const [key, value] of Object.entries(given ?? {})) if (value !== undefined) merged[key] = value;
  return merged as Omit<G, keyof D> & D;
}

function pathOf(url: string | undefined): string | undefined {
  if (url === undefined) return undefined;
  return url.startsWith('/') ? url : new URL(url).pathname;
}

function clientUrl(given: ServerOptions, path: string): string {
  if (given.url && !given.url.startsWith('/')) return given.url;
  return `ws://${given.host ?? 'localhost'}${given.url ?? path}`;
}

const SOURCES: ReadonlySet<string> = new Set<TokenSource>(['header', 'protocol', 'cookie', 'message', 'query']);

const positive = (value: unknown): boolean => Number.isInteger(value) && (value as number) > 0;
const natural = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0;
const isTime = (value: unknown): boolean => natural(value) && (value as number) <= MAX_TIMER_MS;
const isSomeTime = (value: unknown): boolean => positive(value) && isTime(value);
const isText = (value: unknown): boolean => typeof value === 'string' && value !== '';
const isTextList = (value: unknown): boolean => Array.isArray(value) && value.every(isText);
const isFlag = (value: unknown): boolean => typeof value === 'boolean';
const isFunction = (value: unknown): boolean => typeof value === 'function';
const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null;
const isFalseOrObject = (value: unknown): boolean => value === false || isObject(value);
const isClassList = (value: unknown): boolean =>
  Array.isArray(value) && value.every((one) => isFunction(one) || isObject(one));
const isUrl = (value: unknown): boolean =>
  isText(value) && ((value as string).startsWith('/') || isWsUrl(value as string));
const isPath = (value: unknown): boolean => isText(value) && /^\/[^?#\s]*$/.test(value as string);
const isSources = (value: unknown): boolean =>
  Array.isArray(value) && value.length > 0 && value.every((source) => SOURCES.has(source as string));
const isOrigins = (value: unknown): boolean => isFunction(value) || (Array.isArray(value) && value.every(isOrigin));

const DEFLATE_FIELDS: ReadonlySet<string> = new Set<keyof PerMessageDeflateOptions>([
  'serverNoContextTakeover',
  'clientNoContextTakeover',
  'serverMaxWindowBits',
  'clientMaxWindowBits',
  'zlibDeflateOptions',
  'zlibInflateOptions',
  'threshold',
  'concurrencyLimit',
]);
const isDeflate = (value: unknown): boolean =>
  isFlag(value) || (isObject(value) && Object.keys(value as object).every((name) => DEFLATE_FIELDS.has(name)));

const above = (value: unknown): boolean => Number.isFinite(value) && (value as number) > 0;
const isLimit = (value: unknown): boolean => value === false || positive(value);
const isRate = (value: unknown): boolean => {
  if (value === false) return true;
  if (!isObject(value)) return false;
  const { perSecond, burst, ...rest } = value as Partial<Rate>;
  return above(perSecond) && (burst === undefined || positive(burst)) && Object.keys(rest).length === 0;
};
const isTrustProxy = (value: unknown): boolean => {
  if (typeof value === 'number') return natural(value);
  if (typeof value !== 'boolean' && !isText(value) && !isTextList(value)) return false;
  try {
    return Boolean(trustOf(value as TrustProxy));
  } catch {
    return false; // what is no address is what we wanted to know
  }
};

type Rule = readonly [test: (value: unknown) => boolean, rule: string];
const TIME: Rule = [isTime, `a whole number of milliseconds up to ${MAX_TIMER_MS}`];
const SOME_TIME: Rule = [isSomeTime, `a whole number of milliseconds from 1 to ${MAX_TIMER_MS}`];

const RULES: Record<string, Rule> = {
  enabled: [isFlag, 'true or false'],
  type: [(value) => ['server', 'client', 'emitter'].includes(value as string), "'server', 'client' or 'emitter'"],
  autoStart: [isFlag, 'true or false'],
  host: [
    isPublicHost,
    "the public host such as 'chat.example.com', without scheme or path; where to listen is said to the application: " +
      "app.listen(3000, '0.0.0.0')",
  ],
  url: [isUrl, "a ws:// or wss:// URL, or a path such as '/ws'"],
  path: [isPath, "a path that starts with '/', without '?' or '#', such as '/ws'"],
  redis: [
    isRedis,
    "a redis:// or rediss:// URL such as 'redis://127.0.0.1:6379', ioredis options without a URL in them, or an ioredis " +
      'connection',
  ],
  prefix: [
    (value) => isText(value) && /^[A-Za-z0-9:_.-]{1,64}$/.test(value as string),
    'a text of 1–64 characters of A–Z a–z 0–9 : _ . -',
  ],
  registry: [(value) => value === 'replicated' || value === 'local', "'replicated' or 'local'"],
  maxConnections: [positive, 'a whole number above 0'],
  trustProxy: [isTrustProxy, "true, false, a number of proxies, or addresses and ranges such as '10.0.0.0/8'"],
  limits: [isObject, 'an object'],
  'limits.messages': [isFalseOrObject, 'false or an object'],
  'limits.messages.perSecond': [above, 'a number above 0'],
  'limits.messages.burst': [positive, 'a whole number above 0'],
  'limits.messages.bytesPerSecond': [positive, 'a whole number of bytes above 0'],
  'limits.messages.strikes': [positive, 'a whole number above 0'],
  'limits.messages.strikeWindowMs': SOME_TIME,
  'limits.perUser': [isRate, 'false or { perSecond, burst? } with numbers above 0'],
  'limits.perIp': [isRate, 'false or { perSecond, burst? } with numbers above 0'],
  'limits.connectionsPerUser': [isLimit, 'false or a whole number above 0'],
  'limits.connectionsPerIp': [isLimit, 'false or a whole number above 0'],
  'limits.handshakesPerIp': [isRate, 'false or { perSecond, burst? } with numbers above 0'],
  'limits.firstMessageTimeoutMs': [(value) => value === false || isSomeTime(value), `false or ${SOME_TIME[1]}`],
  origins: [
    isOrigins,
    "a list of exact origins such as 'https://app.example.com' (no path) and patterns, or a function",
  ],
  subscriberEventHandler: [isFunction, 'a function'],
  backpressure: [isObject, 'an object'],
  'backpressure.policy': [
    (value) => ['close', 'drop-volatile', 'conflate'].includes(value as string),
    "'close', 'drop-volatile' or 'conflate'",
  ],
  'backpressure.volatileBytes': [natural, 'a whole number of bytes'],
  'backpressure.maxBufferedBytes': [positive, 'a whole number of bytes above 0'],
  'backpressure.maxInFlightBytes': [isLimit, 'false or a whole number of bytes above 0'],
  'backpressure.drainTimeoutMs': SOME_TIME,
  'backpressure.processMaxBufferedBytes': [positive, 'a whole number of bytes above 0'],
  delivery: [isObject, 'an object'],
  'delivery.flushGapMs': [
    (value) => Number.isFinite(value) && (value as number) >= 0 && (value as number) <= 1_000,
    'a number of milliseconds from 0 to 1000',
  ],
  'delivery.maxBusBytes': [positive, 'a whole number of bytes above 0'],
  debug: [isObject, 'an object'],
  'debug.printRoutes': [isFlag, 'true or false'],
  routes: [
    (value) => isObject(value) && !Array.isArray(value),
    'an object, { globalGuards }. A list of routes is gone: put @WsRoute(type, action) on a method of any provider',
  ],
  'routes.globalGuards': [isFlag, 'true or false'],
  rooms: [isObject, 'an object'],
  'rooms.clientCanJoinMultipleRooms': [isFlag, 'true or false'],
  'rooms.maxPerClient': [positive, 'a whole number above 0'],
  'rooms.protectedPrefixes': [isTextList, 'a list of texts'],
  'rooms.authorizeJoin': [isFunction, 'a function, or a class with a method authorizeJoin({ client, roomName, data })'],
  disconnectInactiveClients: [isFalseOrObject, 'false or an object'],
  'disconnectInactiveClients.enabled': [isFlag, 'true or false'],
  'disconnectInactiveClients.inactiveTimeMs': SOME_TIME,
  'disconnectInactiveClients.intervalCheckTimeMs': SOME_TIME,
  'disconnectInactiveClients.inactiveTime': SOME_TIME,
  'disconnectInactiveClients.intervalCheckTime': SOME_TIME,
  'disconnectInactiveClients.log': [isFlag, 'true or false'],
  events: [isObject, 'an object'],
  'events.onServerStarted': [isFunction, 'a function'],
  'events.onConnected': [isFunction, 'a function'],
  'events.onDisconnected': [isFunction, 'a function'],
  'events.onMessage': [isFunction, 'a function'],
  'events.onRefused': [isFunction, 'a function'],
  'events.onError': [isFunction, 'a function'],
  users: [isObject, 'an object'],
  'users.load': [isFunction, 'a function'],
  auth: [isObject, 'an object'],
  'auth.authenticate': [isFunction, 'a function'],
  'auth.refresh': [isFunction, 'a function'],
  'auth.useClass': [isFunction, 'a class with a method authenticate(request)'],
  'auth.useExisting': [
    (value) => isFunction(value) || isText(value) || typeof value === 'symbol',
    'the token of a provider',
  ],
  'auth.usesCookies': [isFlag, 'true or false'],
  'auth.jwt': [isObject, 'an object'],
  'auth.tokenFrom': [isSources, "a list of 'header', 'protocol', 'cookie', 'message' and 'query'"],
  'auth.cookieName': [isText, 'the name of a cookie'],
  'auth.required': [isFlag, 'true or false'],
  'auth.timeoutMs': SOME_TIME,
  connect: [isObject, 'an object'],
  'connect.guards': [isClassList, 'a list of guards: classes or instances'],
  'connect.filters': [isClassList, 'a list of exception filters: classes or instances'],
  'connect.timeoutMs': SOME_TIME,
  messages: [isObject, 'an object'],
  'messages.maxPayload': [positive, 'a whole number of bytes above 0'],
  'messages.maxFragments': [positive, 'a whole number above 0'],
  'messages.maxBufferedChunks': [positive, 'a whole number above 0'],
  'messages.perMessageDeflate': [isDeflate, `true, false or the options of ws: ${[...DEFLATE_FIELDS].join(', ')}`],
  'messages.maxDepth': [
    (value) => positive(value) && (value as number) <= DEEPEST,
    `a whole number from 1 to ${DEEPEST}: what is deeper could not be written again`,
  ],
  'messages.concurrency': [positive, 'a whole number above 0'],
  'messages.maxQueued': [positive, 'a whole number above 0'],
  'messages.maxQueuedBytes': [positive, 'a whole number of bytes above 0'],
  'messages.processMaxQueuedBytes': [positive, 'a whole number of bytes above 0'],
  'messages.handlerTimeoutMs': SOME_TIME,
  'messages.maxStreams': [positive, 'a whole number above 0'],
  'messages.maxBadFrames': [positive, 'a whole number above 0'],
  heartbeat: [isFalseOrObject, 'false or an object'],
  'heartbeat.pingIntervalMs': SOME_TIME,
  'heartbeat.pongTimeoutMs': SOME_TIME,
  clientList: [isFalseOrObject, 'false or an object'],
  'clientList.enabled': [isFlag, 'true or false'],
  'clientList.publicFields': [isTextList, 'a list of field names'],
  'clientList.maxClients': [natural, 'a whole number'],
  'clientList.maxBytes': [positive, 'a whole number of bytes above 0'],
  'clientList.minIntervalMs': TIME,
  drain: [isObject, 'an object'],
  'drain.spreadMs': TIME,
  'drain.terminateAfterMs': TIME,
  client: [isObject, 'an object'],
  'client.token': [(value) => isText(value) || isFunction(value), 'a token, or a function that gives one'],
  'client.headers': [isObject, 'an object of header names and values'],
  'client.tls': [isObject, 'an object, as for tls.connect()'],
  'client.agent': [isObject, 'an http.Agent'],
  'client.connectTimeoutMs': SOME_TIME,
  'client.reconnect': [isFalseOrObject, 'false or an object'],
  'client.reconnect.minDelayMs': SOME_TIME,
  'client.reconnect.maxDelayMs': SOME_TIME,
  'client.reconnect.maxAttempts': [(value) => value === Infinity || positive(value), 'a whole number above 0'],
  'client.reconnect.initial': [isFlag, 'true or false'],
};

/** Every option there is, sections included. */
export const OPTION_NAMES: readonly string[] = Object.keys(RULES);

function findFlaws(given: ServerOptions): string[] {
  if (!isObject(given)) return ['the options must be an object'];
  const flaws: string[] = [];
  checkFields('', given, flaws);
  if (isObject(given.auth)) flaws.push(...authFlaws(given.auth ?? {}, given.origins));
  flaws.push(...originFlaws(given.origins));
  if (flaws.length === 0 && given.type !== 'client') flaws.push(...pathFlaws(given.path ?? pathOf(given.url) ?? ''));
  if (given.connect?.filters?.length && !given.connect.guards?.length)
    flaws.push('"connect.filters" answers for guards, and there are none: name them in "connect.guards"');
  if (flaws.length === 0) flaws.push(...pairFlaws(given));
  const { clientList } = given;
  for (const secret of ['ws', 'params', 'user', 'payload', 'request', 'ip', 'roundTripMs']) {
    if (clientList && clientList.publicFields?.includes(secret))
      flaws.push(`"clientList.publicFields" can't name "${secret}": it is not for others to see`);
  }
  if (given.type === 'client' && !given.url)
    flaws.push('"url" is missing: a client needs it, e.g. \'ws://localhost:3000/ws\'');
  if (given.type === 'emitter' && !given.redis)
    flaws.push('"redis" is missing: an emitter needs the Redis of the nodes');
  return flaws;
}

/** What can't work together, though each could alone. */
function* pairFlaws(given: ServerOptions): Generator<string> {
  yield* oldNameFlaws(given);
  const { spreadMs, terminateAfterMs } = resolveDrain(given.drain);
  if (spreadMs > terminateAfterMs)
    yield (
      `"drain.spreadMs" (${spreadMs}) is longer than "drain.terminateAfterMs" (${terminateAfterMs}): sockets would be cut before their ` +
      'turn to be told. Make it shorter'
    );
  const { volatileBytes, maxBufferedBytes } = resolveBackpressure(given.backpressure);
  if (volatileBytes > maxBufferedBytes)
    yield (
      `"backpressure.volatileBytes" (${volatileBytes}) is above "backpressure.maxBufferedBytes" (${maxBufferedBytes}): the client ` +
      'would be closed before anything was dropped for it. Make it smaller'
    );
}

function checkFields(prefix: string, section: object, flaws: string[]): void {
  for (const [field, value] of Object.entries(section)) {
    const name = prefix + field;
    check(name, value, flaws);
    const hasFields = Object.keys(RULES).some((rule) => rule.startsWith(`${name}.`));
    if (hasFields && isObject(value) && !Array.isArray(value)) checkFields(`${name}.`, value as object, flaws);
  }
}

function check(name: string, value: unknown, flaws: string[]): void {
  if (value === undefined) return;
  const rule = own(RULES, name);
  if (rule) {
    if (!rule[0](value)) flaws.push(`"${name}" must be ${rule[1]}`);
    return;
  }
  flaws.push(unknownOption(name, OPTION_NAMES));
}

/** An option may be called `constructor`, too. */
const own = <T>(record: Record<string, T>, name: string): T | undefined =>
  Object.hasOwn(record, name) ? record[name] : undefined;

/** An address to listen on is nobody's public host: no page would ever have it as its origin. */
function isPublicHost(value: unknown): boolean {
  if (!isText(value) || /[/\s*?#@]/.test(value as string) || !URL.canParse(`http://${value as string}`)) return false;
  const { hostname } = new URL(`http://${value as string}`);
  return hostname !== '0.0.0.0' && hostname !== '[::]';
}

/** ioredis takes any text for the name of a host and leaves a `url` out, and tries to reach what isn't meant for ever. */
function isRedis(value: unknown): boolean {
  if (!isText(value)) return isObject(value) && !Array.isArray(value) && !Object.hasOwn(value as object, 'url');
  const text = value as string;
  return text.startsWith('/') || (/^rediss?:\/\//.test(text) && URL.canParse(text));
}

function isWsUrl(text: string): boolean {
  return URL.canParse(text) && /^wss?:$/.test(new URL(text).protocol);
}

function isOrigin(value: unknown): boolean {
  if (value instanceof RegExp) return true;
  return typeof value === 'string' && (value === '*' || (URL.canParse(value) && new URL(value).origin === value));
}
