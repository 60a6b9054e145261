import { AUTH, type AuthOptions } from '../auth/auth-options.js';
import { authFlaws, originFlaws } from '../auth/auth-flaws.js';
import { CONNECT, type ConnectOptions } from '../admission/connect-options.js';
import { historyFlaws } from '../history/history-options.js';
import { type KeyOptions, KEYS } from './key-options.js';
import { InvalidOptionsError } from '../errors.js';
import { presenceFlaws } from '../presence/presence-options.js';
import { pathFlaws } from '../protocol/path-pattern.js';
import { isObject } from './checks.js';
import { CLIENT_LIST, clientListFlaws, type ClientListOptions } from './client-list-options.js';
import { type LimitOptions, LIMITS, MESSAGE_RATE, type MessageRateOptions } from './limit-options.js';
import { HEARTBEAT, type HeartbeatOptions, INACTIVITY, type InactivityOptions } from './liveness-options.js';
import { type MessageOptions, MESSAGES } from './message-options.js';
import { oldNameFlaws, withNewNames } from './old-names.js';
import { fieldFlaws, fill, type WithDefaults } from './option-table.js';
import {
  BACKPRESSURE,
  backpressureFlaws,
  DELIVERY,
  type DeliveryOptions,
  DRAIN,
  drainFlaws,
  type DrainOptions,
  type SlowClientOptions,
} from './outbound-options.js';
import { type RoomOptions, ROOMS } from './room-options.js';
import { OPTION_NAMES, OPTIONS } from './options.js';
import type { ServerOptions } from './websocket-options.js';

type Plain =
  'enabled' | 'type' | 'autoStart' | 'prefix' | 'registry' | 'maxConnections' | 'trustProxy' | 'origins' | 'path';

/** The options with every default filled in. */
export interface ResolvedOptions extends Required<Pick<ServerOptions, Plain>> {
  host: string | undefined;
  /** Only for `type: 'client'`. */
  url: string;
  printRoutes: boolean;
  routes: { globalGuards: boolean };
  redis: ServerOptions['redis'];
  limits: Omit<WithDefaults<LimitOptions, typeof LIMITS>, 'messages'> & {
    messages: false | WithDefaults<MessageRateOptions, typeof MESSAGE_RATE>;
  };
  rooms: WithDefaults<RoomOptions, typeof ROOMS>;
  presence: NonNullable<ServerOptions['presence']>;
  disconnectInactiveClients: WithDefaults<InactivityOptions, typeof INACTIVITY> & {
    /** @deprecated Read `inactiveTimeMs`. */
    inactiveTime: number;
    /** @deprecated Read `intervalCheckTimeMs`. */
    intervalCheckTime: number;
  };
  auth: WithDefaults<AuthOptions, typeof AUTH> | undefined;
  connect: WithDefaults<ConnectOptions, typeof CONNECT>;
  messages: WithDefaults<MessageOptions, typeof MESSAGES>;
  keys: WithDefaults<KeyOptions, typeof KEYS>;
  heartbeat: WithDefaults<HeartbeatOptions, typeof HEARTBEAT> | false;
  clientList: WithDefaults<ClientListOptions, typeof CLIENT_LIST>;
  backpressure: WithDefaults<SlowClientOptions, typeof BACKPRESSURE>;
  delivery: WithDefaults<DeliveryOptions, typeof DELIVERY>;
  drain: WithDefaults<DrainOptions, typeof DRAIN>;
  events: NonNullable<ServerOptions['events']>;
  subscriberEventHandler: ServerOptions['subscriberEventHandler'];
  users: NonNullable<ServerOptions['users']>;
  client: NonNullable<ServerOptions['client']>;
}

/**
 * Checks the options and fills in the defaults.
 * @throws {InvalidOptionsError} It names every bad option, and says what to write instead
 */
export function resolveOptions(options: ServerOptions = {}): ResolvedOptions {
  const flaws = findFlaws(options);
  if (flaws.length > 0) throw new InvalidOptionsError(flaws);

  const given = withNewNames(options);
  const filled = fill(OPTIONS, given);
  const path = given.path ?? pathOf(given.url) ?? filled.path;
  return {
    enabled: filled.enabled,
    type: filled.type,
    autoStart: filled.autoStart,
    host: given.host,
    path,
    url: clientUrl(given, path),
    printRoutes: fill(OPTIONS.debug.fields, given.debug).printRoutes,
    routes: fill(OPTIONS.routes.fields, given.routes),
    redis: given.redis,
    prefix: filled.prefix,
    registry: filled.registry,
    maxConnections: filled.maxConnections,
    trustProxy: filled.trustProxy,
    limits: resolveLimits(given.limits),
    rooms: fill(ROOMS, given.rooms),
    presence: filled.presence,
    disconnectInactiveClients: resolveInactivity(given.disconnectInactiveClients),
    auth: given.auth && fill(AUTH, given.auth),
    connect: fill(CONNECT, given.connect),
    origins: filled.origins,
    messages: fill(MESSAGES, given.messages),
    keys: fill(KEYS, given.keys),
    heartbeat: given.heartbeat === false ? false : fill(HEARTBEAT, given.heartbeat),
    clientList: fill(CLIENT_LIST, given.clientList === false ? { enabled: false } : given.clientList),
    backpressure: fill(BACKPRESSURE, given.backpressure),
    delivery: fill(DELIVERY, given.delivery),
    drain: fill(DRAIN, given.drain),
    events: given.events ?? {},
    subscriberEventHandler: given.subscriberEventHandler,
    users: given.users ?? {},
    client: given.client ?? {},
  };
}

function resolveLimits(given: LimitOptions = {}): ResolvedOptions['limits'] {
  return {
    ...fill(LIMITS, given),
    messages: given.messages === false ? false : fill(MESSAGE_RATE, given.messages),
  };
}

function resolveInactivity(
  given: ServerOptions['disconnectInactiveClients'],
): ResolvedOptions['disconnectInactiveClients'] {
  const isOn = given !== undefined && given !== false && given.enabled !== false;
  const filled = fill(INACTIVITY, given || undefined);
  return {
    ...filled,
    enabled: isOn,
    inactiveTime: filled.inactiveTimeMs,
    intervalCheckTime: filled.intervalCheckTimeMs,
  };
}

function pathOf(url: string | undefined): string | undefined {
  if (url === undefined) return undefined;
  return url.startsWith('/') ? url : new URL(url).pathname;
}

function clientUrl(given: ServerOptions, path: string): string {
  if (given.url && !given.url.startsWith('/')) return given.url;
  return `ws://${given.host ?? 'localhost'}${given.url ?? path}`;
}

function findFlaws(given: ServerOptions): string[] {
  if (!isObject(given)) return ['the options must be an object'];
  const flaws = [...fieldFlaws(OPTIONS, given, OPTION_NAMES)];
  if (isObject(given.auth)) flaws.push(...authFlaws(given.auth, given.origins));
  flaws.push(...originFlaws(given.origins));
  if (flaws.length === 0 && given.type !== 'client') flaws.push(...pathFlaws(given.path ?? pathOf(given.url) ?? ''));
  if (given.connect?.filters?.length && !given.connect.guards?.length)
    flaws.push('"connect.filters" are for errors of guards, and there are no guards: name guards in "connect.guards"');
  if (flaws.length === 0)
    flaws.push(
      ...historyFlaws(given.rooms?.history, given.redis !== undefined && !given.rooms?.log),
      ...presenceFlaws(given.presence),
      ...oldNameFlaws(given),
      ...drainFlaws(given.drain),
      ...backpressureFlaws(given.backpressure),
    );
  flaws.push(...clientListFlaws(given.clientList));
  if (given.type === 'client' && !given.url)
    flaws.push('"url" is missing: a client needs it, e.g. \'ws://localhost:3000/ws\'');
  if (given.type === 'emitter' && !given.redis)
    flaws.push('"redis" is missing: an emitter needs the Redis of the nodes');
  return flaws;
}
