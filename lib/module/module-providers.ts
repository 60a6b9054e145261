import type { DynamicModule, FactoryProvider, InjectionToken, Provider } from '@nestjs/common';
import { HttpAdapterHost, ModuleRef } from '@nestjs/core';
import type { Server as HttpServer } from 'node:http';
import { findAuthenticator } from './find-authenticator.js';
import { NestWebSocketClient } from '../client/nest/nest-websocket-client.js';
import { type NodeWebSocketClientOptions, WebSocketClient } from '../client/websocket-client.js';
import { InvalidOptionsError } from '../errors.js';
import { findInstance } from '../routing/find-instance.js';
import { NO_PARAMS } from '../protocol/path-pattern.js';
import { withRetry } from '../client/nest/pxl-websocket-client.module.js';
import { type ModuleEmitter, startEmitter } from './module-emitter.js';
import { MODULE_OPTIONS_TOKEN } from './pxl-websocket.module-definition.js';
import { findResources } from './resources.js';
import { resolveOptions } from '../options/resolve-options.js';
import { RouteExplorer } from '../routing/route.explorer.js';
import {
  getWebSocketClientManagerToken,
  getWebSocketRoomManagerToken,
  getWebSocketServerToken,
  getWebSocketServiceToken,
} from './server-tokens.js';
import { WebSocketServer } from '../server.js';
import { REGISTRATION, type Registration } from './servers-together.js';
import type { WebSocketOptions } from '../server.js';
import { WebSocketService } from '../websocket.service.js';

export const EMITTER = Symbol('pxl:emitter');
export const CLIENT = Symbol('pxl:client');

/** Completes the module of `forRoot()`. Only the server without a name is injected by class. */
export function withProviders(definition: DynamicModule, name: string | undefined, place: string): DynamicModule {
  if (name !== undefined && (typeof name !== 'string' || name === ''))
    throw new InvalidOptionsError(["\"name\" must be a text that isn't empty: forRoot({ name: 'admin' })"]);
  const shared = sharedProviders(name);
  return {
    ...definition,
    providers: [...(definition.providers ?? []), ...ownProviders(name, place), ...shared],
    exports: shared.map(({ provide }) => provide),
  };
}

/** Providers for the module itself. */
const ownProviders = (name: string | undefined, place: string): Provider[] => [
  {
    provide: REGISTRATION,
    inject: [MODULE_OPTIONS_TOKEN, RouteExplorer, ModuleRef, HttpAdapterHost],
    useFactory: (options: WebSocketOptions, explorer: RouteExplorer, moduleRef: ModuleRef, host: HttpAdapterHost) => ({
      name,
      place,
      server: new WebSocketServer(options, {
        explore: (stockPath) =>
          explorer.explore({ server: name, stockPath, globalGuards: options.routes?.globalGuards }),
        resources: () => findResources(moduleRef),
        authenticator: (auth) => findAuthenticator(moduleRef, auth),
        instance: (type, option) => findInstance(moduleRef, type, option),
        httpServer: () => httpServerOf(host),
      }),
    }),
  },
  {
    provide: EMITTER,
    inject: [MODULE_OPTIONS_TOKEN],
    useFactory: startEmitter,
  },
  {
    provide: CLIENT,
    inject: [MODULE_OPTIONS_TOKEN, RouteExplorer, ModuleRef],
    useFactory: (options: WebSocketOptions, explorer: RouteExplorer, moduleRef: ModuleRef) => {
      if (options.type !== 'client') return undefined;
      if (name !== undefined)
        throw new InvalidOptionsError([
          `"name" is for servers, and "type" is 'client': use forClient({ name: '${name}', url })`,
        ]);
      const { globalGuards } = options.routes ?? {};
      return new NestWebSocketClient(clientOptions(options, moduleRef), undefined, () =>
        explorer.explore({ globalGuards }),
      );
    },
  },
];

const ofServer = (provide: InjectionToken, pick: (server: WebSocketServer) => unknown): FactoryProvider => ({
  provide,
  inject: [REGISTRATION],
  useFactory: ({ server }: Registration) => pick(server),
});

/** Providers for the application. */
function sharedProviders(name: string | undefined): FactoryProvider[] {
  const shared: FactoryProvider[] = [
    ofServer(getWebSocketServerToken(name), (server) => server),
    ofServer(getWebSocketClientManagerToken(name), ({ clientManager }) => clientManager),
    ofServer(getWebSocketRoomManagerToken(name), ({ roomManager }) => roomManager),
    {
      provide: getWebSocketServiceToken(name),
      inject: [REGISTRATION, EMITTER],
      useFactory: ({ server }: Registration, emitter?: ModuleEmitter) =>
        new WebSocketService(emitter ?? { webSocketServer: server }),
    },
  ];
  const client = { provide: WebSocketClient, inject: [CLIENT], useFactory: (made: unknown) => made };
  return name === undefined ? [...shared, client] : shared;
}

/** The application's HTTP server; undefined in a testing module, an application context or a microservice. */
export const httpServerOf = ({ httpAdapter }: HttpAdapterHost): HttpServer | undefined =>
  httpAdapter?.getHttpServer() as HttpServer | undefined;

function clientOptions(given: WebSocketOptions, moduleRef: ModuleRef): NodeWebSocketClientOptions {
  const { url, events, client } = resolveOptions(given);
  const { onConnected, onDisconnected, onMessage, onError } = events;
  return withRetry({
    ...client,
    url,
    events: {
      ...(onConnected && {
        onConnected: (params) => onConnected({ ...params, params: NO_PARAMS, joinRoom: joinLater(params.joinRoom) }),
      }),
      ...(onDisconnected && { onDisconnected }),
      ...(onMessage && { onMessage: (params) => onMessage({ ...params, ...findResources(moduleRef) }) }),
      ...(onError && { onError }),
    },
  });
}

type Join = (params: { roomName: string; username?: string; userType?: string; userId?: string | number }) => void;

const joinLater = (join: Join) => (params: Parameters<Join>[0]) => {
  join(params);
  return Promise.resolve(true);
};
