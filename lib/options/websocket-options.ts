import type { AuthOptions } from '../auth/auth-options.js';
import type { Origins } from '../auth/origins.js';
import type { ConnectOptions } from '../admission/connect-options.js';
import type { NodeWebSocketClientOptions } from '../client/websocket-client.js';
import type { RedisSource } from '../cluster/redis-source.js';
import type { TrustProxy } from '../limits/client-address.js';
import type { ClientListOptions } from './client-list-options.js';
import type { LimitOptions } from './limit-options.js';
import type { HeartbeatOptions, InactivityOptions } from './liveness-options.js';
import type { KeyOptions } from './key-options.js';
import type { MessageOptions } from './message-options.js';
import type { DeliveryOptions, DrainOptions, SlowClientOptions } from './outbound-options.js';
import type { PresenceRuleOptions } from '../presence/presence-options.js';
import type { RoomOptions } from './room-options.js';
import type { WebSocketEvents } from './websocket-events.js';

/** What `type` of a `WebSocketServer` or a `WebSocketClient` is. */
export type WebSocketType = 'server' | 'client';

/**
 * Options of `PxlWebSocketModule.forRoot()`. A bad option stops the start. Times are in milliseconds, at most 2_147_483_647 (24 days):
 * no timer can run longer.
 */
export interface ServerOptions {
  /** False: everything can be injected, but nothing is started and nothing is sent. @default true */
  enabled?: boolean;
  /**
   * `client` connects to `url` instead of accepting connections. `emitter` has no connections, and only sends to the clients of the
   * nodes with the same `redis`. @default 'server'
   */
  type?: WebSocketType | 'emitter';
  /**
   * The path of the server, matched exactly. A parameter (`/ws/:tenant`) stands for one segment. `path` takes precedence over the
   * path of `url`. @default '/ws'
   */
  path?: string;
  /** Client: where to connect, e.g. `wss://example.com/ws`. Server: only its path is used. */
  url?: string;
  /**
   * The public host (`chat.example.com` or `chat.example.com:8443`). Server: pages of this host may connect. Set it if a proxy
   * rewrites `Host`, and against DNS rebinding. Client: the server's host, if `url` is a path. @default the header `Host`
   */
  host?: string;
  /**
   * Connects the processes that use the same Redis and `prefix`: a URL, options of ioredis, or your own `Redis` or `Cluster`
   * instance, which is duplicated. Without it, this process works alone.
   */
  redis?: RedisSource;
  /** The beginning of every channel and key. Applications with different prefixes can share one Redis. @default 'pxl' */
  prefix?: string;
  /**
   * `replicated`: the managers know the clients of the whole cluster; each node keeps a copy of what the others know. `local`: the
   * managers only know the clients of this node, and `fetchClients()`, `fetchRoom()` and `fetchNodes()` ask Redis. For very large fleets.
   * @default 'replicated'
   */
  registry?: 'replicated' | 'local';
  /** Load and start with the application. False: call `load()` and `start()` yourself. @default true */
  autoStart?: boolean;
  /** What is logged for development. */
  debug?: DebugOptions;
  /** How `@WsRoute()` methods are called. */
  routes?: RouteOptions;
  /** Connections of this process. More get 503. @default 10_000 */
  maxConnections?: number;
  /**
   * Which proxies are trusted: their `X-Forwarded-For` gives the client's address, and their `X-Forwarded-Host` the server's own host.
   * A number: how many proxies are in front of this process. Texts: addresses, ranges (`10.0.0.0/8`) and names of ranges (`loopback`,
   * `linklocal`, `uniquelocal`). False: none; the address of the socket counts. True: all; then a client that reaches this process
   * directly can claim any address. @default false
   */
  trustProxy?: TrustProxy;
  /**
   * How much one client, user or address may send. Each process counts for itself. A whole /64 of IPv6 counts as one address;
   * `trustProxy` says which address is the client's.
   */
  limits?: LimitOptions;
  /**
   * Origins that may connect besides the server's own host: exact texts (`https://app.example.com`), patterns, or a function. A pattern
   * begins with ^, ends with $ and has alternatives only in groups. `['*']` allows all origins, and is refused if cookies authenticate.
   * A request without `Origin` doesn't come from a browser. It may connect unless cookies authenticate it. @default []
   */
  origins?: Origins;
  /** Who may connect. Without it, every client may connect, and is anonymous. */
  auth?: AuthOptions;
  /** Nest guards that decide, after `auth`, whether a client may connect. */
  connect?: ConnectOptions;
  /** How users are loaded. */
  users?: UserOptions;
  /** Which rooms there are, who may join them, and which of them keep their messages. */
  rooms?: RoomOptions;
  /**
   * Rooms whose members see which users are there: a list of rules `{ match, … }`. The first rule that matches the room's name
   * applies. Give every node the same rules. See `presence.md`. @default []
   */
  presence?: PresenceRuleOptions[];
  /** How messages of clients are received and handled. */
  messages?: MessageOptions;
  /** Messages with a key, on routes that handle each key once. See `sending-once.md`. */
  keys?: KeyOptions;
  /** Protocol pings that find dead peers. False: send none. */
  heartbeat?: false | HeartbeatOptions;
  /** Closes inactive connections (4208). An object, even `{}`, switches it on. @default false */
  disconnectInactiveClients?: false | InactivityOptions;
  /** The public list of clients, pushed as `system/clientList` when it changes. False: push none. */
  clientList?: false | ClientListOptions;
  /** What may wait for a client that reads more slowly than the server writes. */
  backpressure?: SlowClientOptions;
  /** How messages are written and published. */
  delivery?: DeliveryOptions;
  /** How `stop()` and the application's shutdown close connections. */
  drain?: DrainOptions;
  /** Callbacks. */
  events?: WebSocketEvents;
  /** Called for every bus event, after the `@WsSubscribe()` methods of priority 0 and above. */
  // Its parameter contains the server, which this file may not import: `WebSocketOptions` has the whole type.
  subscriberEventHandler?: (params: never) => unknown;
  /** For `type: 'client'`: how it connects. */
  client?: ClientSectionOptions;
}

/** What is logged for development. */
export interface DebugOptions {
  /** Log where each route is declared, routes of the module included. @default false */
  printRoutes?: boolean;
}

/** How `@WsRoute()` methods are called. */
export interface RouteOptions {
  /**
   * False: global guards (`APP_GUARD`, `useGlobalGuards()`) don't run for routes, because they are made for HTTP.
   * `@SkipGlobalGuards()` does the same for one class or method. @default true
   */
  globalGuards?: boolean;
}

/** How users are loaded. */
export interface UserOptions {
  /**
   * Loads the user of `joinRoom({ userId })`. The result becomes `client.user.payload`. Null: there is no such user, and the join is
   * refused with `NOT_FOUND`. Not called for clients that authenticated.
   */
  load?: (userId: string | number) => Promise<Record<string, unknown> | null> | Record<string, unknown> | null;
}

/** How a client connects. */
export interface ClientSectionOptions extends Pick<
  NodeWebSocketClientOptions,
  'headers' | 'token' | 'tls' | 'agent' | 'connectTimeoutMs' | 'reconnect'
> {}

/** A route as the PXL framework describes it. Use `@WsRoute()` instead. */
export interface WebSocketRoute {
  type: string;
  action: string;
  controllerName: string;
  controller?: unknown;
}
