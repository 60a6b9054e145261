import { Logger } from '@nestjs/common';
import type { Server as HttpServer } from 'node:http';
import { ConnectPipeline } from './admission/connect-pipeline.js';
import type { AuthOptions } from './auth/auth-options.js';
import { Authentication, readToken } from './auth/authentication.js';
import type { WebSocketAuthenticator } from './auth/identity.js';
import type { Clock } from './clock.js';
import type { Clients } from './clients/clients.js';
import type { Membership } from './clients/membership.js';
import type { RegisteredClient } from './clients/registered-client.js';
import type { Subscribers } from './cluster/subscribers.js';
import type { ConnectionHooks } from './connection/connection-hooks.js';
import type { Connections } from './connection/connections.js';
import { isAuthenticated } from './connection/server-socket.js';
import type { ConnectedClient } from './decorators/connected-client.js';
import type { RoomPublisher } from './history/room-publisher.js';
import type { IdempotentCalls } from './idempotency/idempotent-calls.js';
import { InvalidOptionsError, PeerError } from './errors.js';
import type { Listeners } from './observe/listeners.js';
import type { Presence } from './presence/presence.js';
import type { Outgoing } from './outbound/outgoing.js';
import type { ResolvedOptions } from './options/resolve-options.js';
import { ErrorCode } from './protocol/error-codes.js';
import { NO_RESOURCES, type Resources } from './resources.js';
import type { FindInstance } from './routing/find-instance.js';
import { authorizerOf } from './routing/room-authorizer.js';
import type { Explored } from './routing/route.explorer.js';
import type { Router } from './routing/router.js';
import type { System } from './system.js';
import { addSystemRoutes } from './routing/system.routes.js';

/** What the module gives a server inside a Nest application. All optional without Nest. */
export interface ServerDependencies {
  explore?: (stockPath: string | undefined) => Explored;
  resources?: () => Resources;
  httpServer?: () => HttpServer | undefined;
  /** Finds or creates the classes in `auth.useClass` and `auth.useExisting`. */
  authenticator?: (options: Pick<AuthOptions, 'useClass' | 'useExisting'>) => Promise<WebSocketAuthenticator>;
  /** Finds or creates the classes in `connect` and `rooms.authorizeJoin`. */
  instance?: FindInstance;
  /** Another clock and other random numbers than those of the process. */
  system?: System;
}

export interface ApplicationParts {
  readonly options: ResolvedOptions;
  readonly dependencies: ServerDependencies;
  readonly router: Router;
  readonly subscribers: Subscribers;
  readonly hooks: ConnectionHooks;
  readonly listeners: Listeners;
  readonly membership: Membership;
  readonly history: RoomPublisher | undefined;
  readonly presence: Presence | undefined;
  readonly clients: Clients;
  readonly connections: Connections;
  readonly outgoing: Outgoing;
  readonly replies: IdempotentCalls;
  readonly clock: Clock;
  failed(error: unknown, place: string): void;
}

/** How keys of `system/publish` are handled in rooms without history. They are known as long as by default in rooms with history. */
const PUBLISH_RULE = { windowMs: 300_000, rerun: false };

/** What a server finds in its application: routes, subscribers, hooks, guards, an authenticator, resources. */
export class Application {
  resources: Resources = NO_RESOURCES;
  /** Undefined if clients needn't authenticate. */
  authentication: Authentication | undefined;
  /** Undefined without guards. */
  guards: ConnectPipeline | undefined;
  /** Nest's own gateways on our path become routes, too. */
  usesStockGateways = false;
  isLoaded = false;
  readonly #logger = new Logger('WebSocketServer');

  constructor(private readonly parts: ApplicationParts) {}

  /** The options ask for authentication or guards that couldn't be loaded. */
  get isIncomplete(): boolean {
    const { auth, connect } = this.parts.options;
    return (auth !== undefined && !this.authentication) || (connect.guards.length > 0 && !this.guards);
  }

  get httpServer(): HttpServer | undefined {
    return this.parts.dependencies.httpServer?.();
  }

  /**
   * @param server the argument of hooks and subscribers
   * @throws {InvalidRouteError} @throws {DuplicateRouteError} @throws {InvalidOptionsError}
   */
  async load(server: unknown): Promise<void> {
    if (this.isLoaded) return;
    this.isLoaded = true;
    const { options, dependencies, router, listeners } = this.parts;
    this.resources = dependencies.resources?.() ?? NO_RESOURCES;
    listeners.provide(server, this.resources);
    if (options.auth) this.authentication = await this.#authenticationOf(options.auth);
    if (options.connect.guards.length > 0)
      this.guards = await ConnectPipeline.of(options.connect, dependencies.instance);
    await this.#addSystemRoutes();
    await this.#addFound(server);
    for (const line of router.mapped(options.path)) this.#logger.log(line);
    if (options.printRoutes) this.#logger.log(`Routes of ${options.path}:\n${router.print().join('\n')}`);
  }

  async #addSystemRoutes(): Promise<void> {
    const { options, dependencies, router, membership, clients, history, presence, outgoing, replies, clock, failed } =
      this.parts;
    const { rooms, messages } = options;
    const isIn = ({ clientId }: ConnectedClient, roomName: string): boolean => clients.rooms.has(clientId, roomName);
    addSystemRoutes(router, {
      joining: {
        protectedPrefixes: rooms.protectedPrefixes,
        authorizeJoin: await authorizerOf('authorizeJoin', rooms.authorizeJoin, dependencies.instance),
        join: (client, request, asked, allow) => membership.joinByItself(client, request, asked, allow),
        leave: ({ clientId }, roomName) => clients.leave(clientId, roomName, 'asked'),
        joinTimeoutMs: messages.handlerTimeoutMs,
        clock,
        failed,
      },
      presence: {
        presence,
        authorizePresence: await authorizerOf('authorizePresence', rooms.authorizePresence, dependencies.instance),
        isIn,
      },
      publishing: {
        authorizePublish: await authorizerOf('authorizePublish', rooms.authorizePublish, dependencies.instance),
        history,
        isIn,
        deliver: (delivery) => outgoing.deliver(delivery),
        once: (handler) => replies.wrap({ type: 'system', action: 'publish', handler }, PUBLISH_RULE),
      },
      history: history && { history, isIn },
      ...(this.authentication?.canRefresh && { refresh: (client, data) => this.#refresh(client, data) }),
    });
  }

  async #addFound(server: unknown): Promise<void> {
    const { options, dependencies, router, subscribers, hooks, replies } = this.parts;
    const found = dependencies.explore?.(this.usesStockGateways ? options.path : undefined);
    for (const route of found?.routes ?? [])
      router.add(route.once ? { ...route, handler: replies.wrap(route, route.once) } : route);
    for (const subscriber of found?.subscribers ?? []) subscribers.add(subscriber);
    if (options.subscriberEventHandler) {
      const handler = options.subscriberEventHandler as (event: unknown) => unknown;
      subscribers.add({ matcher: '*', handler, place: 'subscriberEventHandler' });
    }
    hooks.add(found?.hooks ?? []);
    for (const hook of found?.hooks ?? []) await hook.afterInit?.(server);
  }

  #authenticationOf(auth: NonNullable<ResolvedOptions['auth']>): Promise<Authentication> {
    const { dependencies, clock, failed } = this.parts;
    return Authentication.of(auth, {
      clock,
      find: (options) => {
        if (dependencies.authenticator) return dependencies.authenticator(options);
        throw new InvalidOptionsError([
          '"auth.useClass" and "auth.useExisting" need a Nest application: give "auth.authenticate", or "auth.jwt"',
        ]);
      },
      failed,
    });
  }

  /** A connected user sends a new token. */
  async #refresh(client: ConnectedClient, data: unknown): Promise<{ expiresAt: number | null }> {
    const token = readToken(data);
    const { user } = client;
    if (!this.authentication || !user || !isAuthenticated(client))
      throw new PeerError(ErrorCode.Forbidden, 'This connection is anonymous. Connect again with the token.');
    const identity = await this.authentication.refresh(token, user);
    this.parts.connections.refreshed(client as RegisteredClient, identity);
    return { expiresAt: identity.expiresAt ?? null };
  }
}
