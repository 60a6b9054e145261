import type { Type } from '@nestjs/common';
import type { Agent } from 'node:http';
import type { ConnectionOptions } from 'node:tls';
import type { PerMessageDeflateOptions, WebSocket, WebSocketServer as WS } from 'ws';
import type { AuthOptions } from '../auth/auth-options.js';
import type { Origins } from '../auth/origins.js';
import type { RedisSource } from '../cluster/redis-source.js';
import type { ReconnectOptions, Source } from '../client/client-options.js';
import type { TrustProxy } from '../limits/client-address.js';
import type { Rate } from '../limits/rate.js';
import type { BackpressurePolicy } from '../protocol/delivery.js';
import type { DatabaseInstance, QueueManager, RedisInstance } from '../module/resources.js';
import type { PathParams } from '../protocol/path-pattern.js';
import type { ConnectOptions } from '../admission/connect-pipeline.js';
import type { AuthorizeJoin, RoomAuthorizer } from '../routing/room-authorizer.js';
import type { RefusedHandshake, UpgradeRequest } from '../auth/upgrade-request.js';

export type WebSocketType = 'server' | 'client';

/** What `events.onConnected` may use to put the new client into a room. */
export type JoinRoom = (params: {
  userId?: string | number;
  userType?: string;
  username?: string;
  roomName: string;
}) => Promise<boolean>;

/** Callbacks. What they return is ignored; one that throws or rejects is reported through `onError` and breaks nothing. */
export interface WebSocketEvents {
  /** The server accepts connections from now on. `webSocketServer` is the `ws` library's own server. */
  onServerStarted?: (params: { webSocketServer: WS }) => unknown;
  /**
   * A client connected. Awaited: no frame of this client is handled before the returned promise settles; a rejection
   * closes the socket.
   */
  onConnected?: (params: {
    ws: WebSocket;
    clientId: string;
    joinRoom: JoinRoom;
    /** The HTTP upgrade request; only on the server. */
    request?: UpgradeRequest;
    /** The parameters of its path; empty where the path has none. */
    params: PathParams;
  }) => unknown;
  onDisconnected?: (params: { clientId?: string; code?: number; reason?: string }) => unknown;
  /** Every well-formed message, before its handler. Not awaited. */
  onMessage?: (params: {
    ws: WebSocket;
    clientId: string;
    data: { type: string; action: string; data: unknown };
    redisInstance: RedisInstance;
    queueManager: QueueManager;
    databaseInstance: DatabaseInstance;
  }) => unknown;
  /**
   * A handshake was refused: by an origin, `auth`, a guard, a limit, or because it is none. Each is counted in
   * `server.status.refused`, too, and one a minute of each code is logged.
   */
  onRefused?: (params: RefusedHandshake) => unknown;
  /**
   * Something failed that no caller could be told of. Without it, errors are logged. Of one place at most 10 errors in 10 seconds
   * are reported one by one.
   */
  onError?: (params: {
    error: Error;
    /** Where, e.g. the route `chat/send`, or `events.onMessage`. */
    place: string;
    /** How many errors of this place, before this one, were left out. 0 for nearly every error. */
    leftOut: number;
  }) => unknown;
}

/**
 * Options of `PxlWebSocketModule.forRoot()`. Every default is in `DEFAULTS`; a bad set fails at start-up. Milliseconds are at most
 * 2_147_483_647 (24 days): the longest a timer can run.
 */
export interface ServerOptions {
  /** False: everything can be injected, nothing is started, nothing is sent. @default true */
  enabled?: boolean;
  /**
   * `client` connects to `url` instead of accepting connections; `emitter` does neither, it only sends to the clients of the
   * nodes on the same `redis`. @default 'server'
   */
  type?: WebSocketType | 'emitter';
  /**
   * The public host (`chat.example.com` or `chat.example.com:8443`). Server: pages of this host may connect,
   * instead of those of the request's `Host`, which a proxy may rewrite and DNS rebinding fools. Client: the server's host, when
   * `url` is only a path. @default that of `Host`
   */
  host?: string;
  /** Client: where to connect, e.g. `wss://example.com/ws`. Server: only its path is used. */
  url?: string;
  /**
   * The upgrade path, matched exactly; in `'/ws/:tenant'` the parameter stands for one segment, whatever it is. Goes before the
   * path of `url`. @default '/ws'
   */
  path?: string;
  /**
   * Joins this process to the others that use the same Redis and `prefix`: a URL, ioredis options, or a connection of your
   * own, a `Cluster` too, which is duplicated. Left out: this process is alone.
   */
  redis?: RedisSource;
  /** Begins every channel and key, so that two applications share one Redis unseen. @default 'pxl' */
  prefix?: string;
  /**
   * `replicated`: the managers answer for the whole cluster, each node keeps a copy of what the others know. `local`: they
   * answer for this node alone, and `fetchClients()`, `fetchRoom()` and `fetchNodes()` ask Redis; for very large fleets.
   * @default 'replicated'
   */
  registry?: 'replicated' | 'local';
  debug?: {
    /** Log where each route is declared, those of the protocol included. @default false */
    printRoutes?: boolean;
  };
  routes?: {
    /**
     * False: the guards of the whole application (`APP_GUARD`, `useGlobalGuards()`) don't run around routes, because they are
     * made for HTTP. `@SkipGlobalGuards()` says the same of one class or method. @default true
     */
    globalGuards?: boolean;
  };
  rooms?: {
    /** False: joining a room leaves the one before. @default true */
    clientCanJoinMultipleRooms?: boolean;
    /** Rooms a client may be in at once. More: `ROOM_LIMIT`. @default 100 */
    maxPerClient?: number;
    /** Rooms that a client can't join by itself without `authorizeJoin`. @default ['private:', 'user:', 'system:'] */
    protectedPrefixes?: string[];
    /**
     * Decides whether a client that asks may join: a function, or a class, which is your own instance where a module provides
     * it. Asked for every room when given. False or a throw refuses (`ROOM_FORBIDDEN`, or the thrown exception's own code).
     * Server code may always put a client in any room.
     */
    authorizeJoin?: AuthorizeJoin | Type<RoomAuthorizer>;
  };
  /** Closes sockets (4208) from which neither a message nor a pong came for a while; an object switches it on. @default false */
  disconnectInactiveClients?:
    | false
    | {
        /** @deprecated Write `disconnectInactiveClients: false` to switch it off; `true` says nothing more than the object. */
        enabled?: boolean;
        /** Milliseconds without activity. @default 300_000 */
        inactiveTimeMs?: number;
        /** Milliseconds between two looks. @default a tenth of `inactiveTimeMs`, between 100 and 15_000 */
        intervalCheckTimeMs?: number;
        /** @deprecated Write `inactiveTimeMs`. */
        inactiveTime?: number;
        /** @deprecated Write `intervalCheckTimeMs`. */
        intervalCheckTime?: number;
        /** Log each one closed. @default false */
        log?: boolean;
      };
  events?: WebSocketEvents;
  /** Its parameter names the server, which stands above the options: `WebSocketOptions` has the whole type. */
  subscriberEventHandler?: (params: never) => unknown;
  users?: {
    /** Finds the user whom `joinRoom({ userId })` names; its result becomes `client.user.payload`. Null: no such user. */
    load?: (userId: string | number) => Promise<Record<string, unknown> | null> | Record<string, unknown> | null;
  };
  /** Who may connect. Left out: everybody, anonymously. */
  auth?: AuthOptions;
  /** Nest guards that decide, after `auth`, whether somebody may connect. */
  connect?: ConnectOptions;
  /**
   * Origins that may connect besides the server's own host: exact (`https://app.example.com`), patterns that begin with ^ and
   * end with $ and have alternatives only in groups, or a function. `'*'` allows all, and is refused where cookies authenticate. A request without an `Origin` (no
   * browser) passes, unless cookies authenticate it. @default []
   */
  origins?: Origins;
  /** Connections of this process; more get 503. @default 10_000 */
  maxConnections?: number;
  /**
   * Whose `X-Forwarded-For` says where a client is, and whose `X-Forwarded-Host` what the own host is: `true` everybody's, a number that of so many proxies before this process,
   * or their addresses, ranges (`10.0.0.0/8`) and names of ranges (`loopback`, `linklocal`, `uniquelocal`). False: nobody's,
   * the socket's own address counts. With `true` a client that can reach this process can name any address. @default false
   */
  trustProxy?: TrustProxy;
  /**
   * How much may come from one client, user or address, counted by this process. Addresses are those of `trustProxy`; of IPv6
   * a whole /64 counts as one.
   */
  limits?: {
    /**
     * Messages of one connection, of every kind. Over the rate: an error frame `RATE_LIMITED` with `details.retryAfterMs`
     * instead of the handler; over it again and again: closed with 4108. False: no limit.
     */
    messages?:
      | false
      | {
          /** In the long run. @default 30 */
          perSecond?: number;
          /** At once. @default 60 */
          burst?: number;
          /** Bytes in the long run; at once as many, or one message of `messages.maxPayload`. @default 262_144 */
          bytesPerSecond?: number;
          /**
           * Strikes that close with 4108. A strike is a second with messages over the rate, or `burst` of them within it.
           * @default 3
           */
          strikes?: number;
          /** Milliseconds until a strike is forgotten. @default 10_000 */
          strikeWindowMs?: number;
        };
    /** Messages over all connections of an authenticated user to this process; over it `RATE_LIMITED`. @default false */
    perUser?: false | Rate;
    /** Messages over all connections of an address to this process; over it `RATE_LIMITED`. @default false */
    perIp?: false | Rate;
    /**
     * Connections of an authenticated user; more get 429, or 4100 when a first message says who it is. With
     * `registry: 'replicated'` those of other nodes count, as far as this one knows of them. @default 20
     */
    connectionsPerUser?: false | number;
    /** Connections of an address to this process, those under way included; more get 429. @default false */
    connectionsPerIp?: false | number;
    /** Upgrade requests of an address to this process, refused ones included; over it 429 with `Retry-After`. @default false */
    handshakesPerIp?: false | Rate;
    /** Milliseconds in which a new connection must say something; else 1008. @default false */
    firstMessageTimeoutMs?: false | number;
  };
  messages?: {
    /** Bytes of one message; more closes with 1009. @default 65_536 */
    maxPayload?: number;
    /** Fragments of one message; more close with 1008. @default 128, or a 512th of `maxPayload` where that is more */
    maxFragments?: number;
    /** Pieces in which a frame that isn't whole yet may have arrived; more close with 1008. @default 4096, or a 256th of `maxPayload` where that is more */
    maxBufferedChunks?: number;
    /**
     * Compression of messages, with the options of `ws`: costs memory and time of every connection, and the frame of a
     * broadcast is compressed for each one. @default false
     */
    perMessageDeflate?: boolean | PerMessageDeflateOptions;
    /** Levels of nested JSON, at most 1000. @default 32 */
    maxDepth?: number;
    /** Messages of one socket handled at a time. 1 keeps their order. @default 1 */
    concurrency?: number;
    /** Messages of one socket that may wait; while more do, reading from it pauses. @default 64 */
    maxQueued?: number;
    /** Bytes of the messages of one socket that may wait; while more do, reading from it pauses. @default 131_072 */
    maxQueuedBytes?: number;
    /**
     * Bytes of the messages that wait in all sockets of the process above which those with the most are closed with 4100.
     * @default 67_108_864
     */
    processMaxQueuedBytes?: number;
    /** Milliseconds a handler may take before the answer is `TIMEOUT`. @default 10_000 */
    handlerTimeoutMs?: number;
    /** Streams open at once on one socket; more: `STREAM_LIMIT`. @default 32 */
    maxStreams?: number;
    /** Bad frames in a row that close the socket with 4004. @default 10 */
    maxBadFrames?: number;
  };
  /** Protocol pings that find dead peers (closed with 4201); false sends none. */
  heartbeat?:
    | false
    | {
        /** Milliseconds between pings. @default 25_000 */
        pingIntervalMs?: number;
        /** Milliseconds to wait for the pong. @default 10_000 */
        pongTimeoutMs?: number;
      };
  /** The public list of clients, pushed as `system/clientList` when it changes; false pushes none. */
  clientList?:
    | false
    | {
        /**
         * Write `clientList: false` to switch it off. `enabled: false` is for `publicFields` beside it, which say what
         * `client.toJSON()` shows. @default true
         */
        enabled?: boolean;
        /**
         * What others may see of a client; of its rooms never those of `rooms.protectedPrefixes`.
         * @default ['clientId', 'userId', 'username', 'userType', 'rooms']
         */
        publicFields?: string[];
        /** Clients named in a push; with more only their count is sent. @default 200 */
        maxClients?: number;
        /** Bytes of a push; where the list needs more, only the count is sent. @default 32_768 */
        maxBytes?: number;
        /** Milliseconds between two pushes at least; longer when they are large. @default 250 */
        minIntervalMs?: number;
      };
  /**
   * What may wait for a client that doesn't read as fast as it is written to. Nobody else ever waits for it. Messages
   * say by `volatile` and `conflateKey` what may be left out for it, see `SendOptions`.
   */
  backpressure?: {
    /**
     * What a broadcast counts as that says nothing itself. `close`: it waits, and a client with too much waiting is closed.
     * `drop-volatile`: as `volatile: true`. `conflate`: as `conflateKey: type/action`. Replies, errors and the pushes of
     * the protocol always wait. @default 'close'
     */
    policy?: BackpressurePolicy;
    /**
     * Bytes waiting above which volatile messages are dropped, and conflated ones kept back; no more than `maxBufferedBytes`.
     * @default 262_144, at most a quarter of `maxBufferedBytes`
     */
    volatileBytes?: number;
    /**
     * Bytes waiting above which the socket is closed with 4113. What is sent in one turn to a socket that had nothing
     * waiting doesn't count until the next. @default 1_048_576
     */
    maxBufferedBytes?: number;
    /**
     * Bytes written to a client that has said nothing since the half of them; then it is asked by a ping, and what comes
     * after the other half waits here until it answers, or says anything else. So the megabytes that the operating system
     * takes for a client that doesn't read are not written in vain. Not for compressed connections. `false` never
     * asks. @default 1_048_576
     */
    maxInFlightBytes?: number | false;
    /** Milliseconds in which what waits must have been taken, all of it; else 4113. @default 10_000 */
    drainTimeoutMs?: number;
    /** Bytes waiting in all sockets of the process above which the largest are closed with 4113. @default 268_435_456 */
    processMaxBufferedBytes?: number;
  };
  delivery?: {
    /**
     * Milliseconds at least between two writes to one socket; what comes meanwhile is written together. The first message
     * after a pause goes at once, so a message is late by no more than this (and what a timer is late). Saves most of the
     * work where single messages come fast. 0 writes at the end of each turn of the event loop. @default 0
     */
    flushGapMs?: number;
    /**
     * Bytes of messages that may wait for Redis, of this process: a burst waits its turn for up to 5 s. Above it a message isn't
     * handed over: the promise of `WebSocketService` rejects, and `status.counters.unpublished` counts it. @default 67_108_864
     */
    maxBusBytes?: number;
  };
  /** How `stop()` and the application's shutdown close sockets. */
  drain?: {
    /**
     * Milliseconds over which the 1012 closes are spread, so that clients don't come back all at once; no more than
     * `terminateAfterMs`. @default 5_000, at most half of `terminateAfterMs`
     */
    spreadMs?: number;
    /** Milliseconds after which sockets that didn't answer are cut. @default 10_000 */
    terminateAfterMs?: number;
  };
  /** Load and start with the application. False: call `load()` and `start()` yourself. @default true */
  autoStart?: boolean;
  /** For `type: 'client'`: how it connects. */
  client?: {
    /** HTTP headers of the upgrade request, e.g. `authorization`. */
    headers?: Record<string, string>;
    /** Says who this application is, as `Authorization: Bearer`; a function is asked at every connect. */
    token?: Source<string | undefined>;
    /** How a `wss:` connection is secured, as of `tls.connect()`. @default Node's */
    tls?: ConnectionOptions;
    /** Makes the TCP connections, e.g. through a proxy. @default none */
    agent?: Agent;
    /** Milliseconds for `connectToServer()`. @default 10_000 */
    connectTimeoutMs?: number;
    /** False: don't come back after a lost connection. */
    reconnect?: false | ReconnectOptions;
  };
}

/** A route as the reference describes it; `@WsRoute()` takes the place of a list of these. */
export interface WebSocketRoute {
  type: string;
  action: string;
  controllerName: string;
  controller?: unknown;
}
