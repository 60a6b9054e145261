import 'reflect-metadata';
import type { Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type DynamicModule, type INestApplication, Module, type Provider, type Type } from '@nestjs/common';
import { type AbstractHttpAdapter, NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import {
  PxlWebSocketModule,
  WebSocketClientManager,
  type WebSocketOptions,
  WebSocketRoomManager,
  WebSocketServer,
  WebSocketService,
} from '../../lib/index.js';
import { Peer, type PeerOptions } from './peer.js';

export interface AppOptions {
  options?: WebSocketOptions;
  providers?: Provider[];
  controllers?: Type[];
  imports?: (DynamicModule | Type)[];
  platform?: 'fastify' | 'express';
  /** Don't switch the logger off. */
  keepsLogger?: boolean;
  /** Called before the application listens: `useGlobalPipes()` and the like. */
  configure?: (app: INestApplication) => void;
}

export interface RunningApp {
  app: INestApplication;
  port: number;
  url: string;
  server: WebSocketServer;
  service: WebSocketService;
  clients: WebSocketClientManager;
  rooms: WebSocketRoomManager;
  /** Errors that no caller could be told of. */
  errors: Error[];
  /** Connects and waits for `system/connected`. */
  connect(options?: PeerOptions): Promise<Peer>;
  /** The same with an address of its own, e.g. with a query. */
  connectTo(url: string, options?: PeerOptions): Promise<Peer>;
  close(): Promise<void>;
}

/** Drains at once: a test has no herd of clients to spread. */
const FAST_DRAIN = { spreadMs: 50, terminateAfterMs: 1_000 };

/** A test writes as fast as it can, unless the limits are what it is about: then it names them. */
const NO_LIMITS = { messages: false, connectionsPerUser: false } as const;

/** A real Nest application on a free port of 127.0.0.1. Only what a test says about it differs from the default. */
export async function startApp(given: AppOptions = {}): Promise<RunningApp> {
  const errors: Error[] = [];
  const options: WebSocketOptions = {
    drain: FAST_DRAIN,
    clientList: false,
    limits: NO_LIMITS,
    ...given.options,
    events: { onError: ({ error }) => errors.push(error), ...given.options?.events },
  };
  const module = appModule(options, given);
  const adapter = given.platform === 'express' ? await expressAdapter() : new FastifyAdapter();
  const app = await NestFactory.create(module, adapter as FastifyAdapter, {
    ...(given.keepsLogger ? {} : { logger: false as const }),
    abortOnError: false,
  });
  const peers: Peer[] = [];
  try {
    given.configure?.(app);
    await app.listen(0, '127.0.0.1');
  } catch (error) {
    await app.close();
    throw error;
  }
  const { port } = (app.getHttpServer() as HttpServer).address() as AddressInfo;
  const server = app.get(WebSocketServer);
  const url = `ws://127.0.0.1:${port}${server.options.path}`;
  const connectTo = async (address: string, peerOptions?: PeerOptions): Promise<Peer> => {
    const peer = await Peer.open(address, peerOptions);
    peers.push(peer);
    return peer;
  };
  return {
    app,
    port,
    url,
    server,
    service: app.get(WebSocketService),
    clients: app.get(WebSocketClientManager),
    rooms: app.get(WebSocketRoomManager),
    errors,
    connect: (peerOptions) => connectTo(url, peerOptions),
    connectTo,
    async close() {
      for (const peer of peers) peer.terminate();
      await app.close();
    },
  };
}

/** Loaded only where it is needed: hundreds of test files and processes don't need it. */
async function expressAdapter(): Promise<AbstractHttpAdapter> {
  const { ExpressAdapter } = await import('@nestjs/platform-express');
  return new ExpressAdapter();
}

function appModule(options: WebSocketOptions, { providers = [], controllers = [], imports = [] }: AppOptions): Type {
  @Module({ imports: [PxlWebSocketModule.forRoot(options), ...imports], providers, controllers })
  class AppModule {}
  return AppModule;
}
