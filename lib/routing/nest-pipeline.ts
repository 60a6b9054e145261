import { type CanActivate, type ContextType, Logger } from '@nestjs/common';
import type { ExternalContextCreator } from '@nestjs/core';
import { EMPTY, isObservable } from 'rxjs';
import { errorOf } from '../protocol/thrown.js';
import { callBare, type Found, type Param, paramsOfBare, type Take, takeAll } from './bare-call.js';
import { GlobalGuards } from './global-guards.js';
import { MethodMetadata } from './method-metadata.js';
import { type RouteCall } from './route-call.js';
import { isAsyncIterable, isPromise, Source } from './stream-source.js';
import { type FilterRunner, runFilters } from './route-filters.js';
import { withoutMessages } from './stock-results.js';

/** Nest's own key for parameter decorators; not exported from a package root. */
const ROUTE_ARGS_METADATA = '__routeArguments__';
/** For methods without parameter decorators: ours get `(ws, clientId, data)`, those of stock gateways `(client, data)`. */
const DEFAULT_ARGS_METADATA = 'pxl:default-arguments';
const STOCK_ARGS_METADATA = 'pxl:stock-arguments';
/** Nest's WsParamtype, not exported: socket, payload, and a free number for the client id. */
const SOCKET = 0;
const PAYLOAD = 3;
const CLIENT_ID = 101;

const paramsFactory = {
  exchangeKeyForValue(type: number, property: unknown, args: unknown[]): unknown {
    switch (type) {
      case SOCKET:
        return args[0];
      case PAYLOAD:
        return typeof property === 'string'
          ? (args[1] as Record<string, unknown> | null | undefined)?.[property]
          : args[1];
      case CLIENT_ID:
        return (args[2] as RouteCall).clientId;
      default:
        return null;
    }
  },
};

type AnyFunction = (...args: unknown[]) => unknown;

/** The internals of ExternalContextCreator that we use. `nest-pipeline.test.ts` fails when a new Nest changes them. */
interface Internals {
  interceptorsConsumer: {
    intercept(
      interceptors: unknown[],
      args: unknown[],
      instance: object,
      callback: AnyFunction,
      next: () => Promise<unknown>,
      type: string,
    ): Promise<unknown>;
  };
  interceptorsContextCreator: { create(...args: unknown[]): unknown[] };
  guardsContextCreator: { getGlobalMetadata(...args: unknown[]): (CanActivate | undefined)[] };
  createGuardsFn(guards: unknown[], ...more: unknown[]): unknown;
  createPipesFn(pipes: unknown[], params: Param[]): unknown;
  externalErrorProxy: {
    createProxy(target: AnyFunction, filters: FilterRunner, type: ContextType): AnyFunction;
  };
}

/** How a method is wrapped. */
export interface WrapOptions {
  /** A method of a stock gateway: its arguments and results are Nest's. */
  isStock: boolean;
  /** Without global guards. */
  skipsGlobalGuards: boolean;
}

const OWN: WrapOptions = { isStock: false, skipsGlobalGuards: false };

/** How many different errors of filters are logged. Further ones are most likely the same error with another text. */
const MAX_FAILURES_LOGGED = 10;

/**
 * Nest's `ExternalContextCreator`, which runs guards, pipes, interceptors and filters around any method, with two changes:
 * Observables stream, and an exception that no filter answers is returned without being logged: bad input isn't our error.
 */
export class NestPipeline {
  readonly #logger = new Logger('WebSocketServer');
  readonly #creator: ExternalContextCreator;
  readonly #stockCreator: ExternalContextCreator;
  readonly #guards = new GlobalGuards();
  readonly #filterFailures = new Set<string>();
  #found: Found = {};
  #options = OWN;

  constructor(creator: ExternalContextCreator) {
    const internals = creator as unknown as Internals;
    this.#creator = Object.create(creator, {
      handlerMetadataStorage: { value: new MethodMetadata() },
      interceptorsConsumer: { value: streaming(internals.interceptorsConsumer) },
      guardsContextCreator: {
        value: Object.create(internals.guardsContextCreator, {
          getGlobalMetadata: {
            value: (...args: unknown[]) => {
              if (this.#options.skipsGlobalGuards) return [];
              const guards = internals.guardsContextCreator.getGlobalMetadata(...args);
              return guards.map((guard) => guard && this.#guards.watch(guard));
            },
          },
        }) as object,
      },
      interceptorsContextCreator: {
        value: {
          create: (...args: unknown[]) =>
            (this.#found.interceptors = internals.interceptorsContextCreator.create(...args)),
        },
      },
      createGuardsFn: {
        value: (guards: unknown[], ...more: unknown[]) =>
          internals.createGuardsFn((this.#found.guards = guards), ...more),
      },
      createPipesFn: {
        value: (pipes: unknown[], params: Param[]) =>
          internals.createPipesFn((this.#found.pipes = pipes), (this.#found.params = params)),
      },
      externalErrorProxy: {
        value: {
          createProxy: (target: AnyFunction, filters: FilterRunner, type: ContextType) =>
            runFilters(target, (this.#found.filters = filters), type, (...failed) => this.#passedOver(...failed)),
        },
      },
    }) as ExternalContextCreator;
    this.#stockCreator = Object.create(this.#creator, {
      handlerMetadataStorage: { value: new MethodMetadata() },
      interceptorsConsumer: { value: streaming(internals.interceptorsConsumer, withoutMessages) },
    }) as ExternalContextCreator;
  }

  /** Wraps one method: once for a static instance, for each message for a request-scoped one. */
  wrap(
    instance: object,
    methodName: string,
    options: WrapOptions = OWN,
    contextId?: { id: number },
    inquirerId?: string,
  ): (call: RouteCall, data?: unknown) => unknown {
    const method = (instance as Record<string, AnyFunction>)[methodName] as AnyFunction;
    this.#found = {};
    this.#options = options;
    const creator = options.isStock ? this.#stockCreator : this.#creator;
    const run = creator.create(
      instance,
      method,
      methodName,
      argumentsMetadata(instance.constructor, methodName, options),
      paramsFactory,
      contextId,
      inquirerId,
      { guards: true, interceptors: true, filters: true },
      'ws',
    ) as AnyFunction;
    const params = paramsOfBare(this.#found);
    if (!params) return (call, data = call.data) => run(call.ws, data, call, `${call.type}/${call.action}`);
    const take: Take = options.isStock ? (call, result) => call.take(withoutMessages(result, call)) : takeAll;
    return (call, data = call.data) => {
      const kept = call.try?.claim();
      if (!kept) return callBare(instance, method, params, take, call, data);
      return isPromise(kept) ? kept.then((one) => one ?? callBare(instance, method, params, take, call, data)) : kept;
    };
  }

  #passedOver(failure: unknown, pattern: string): void {
    const { message } = errorOf(failure);
    if (this.#filterFailures.size >= MAX_FAILURES_LOGGED || this.#filterFailures.has(message)) return;
    this.#filterFailures.add(message);
    this.#logger.warn(
      `An exception filter failed for the message ${pattern}, so the error is answered without it (${message}). ` +
        `A filter made for HTTP should begin with: if (host.getType() !== 'http') return;`,
    );
  }
}

/** A method without parameter decorators gets default ones, under a key of our own. */
function argumentsMetadata(constructor: object, methodName: string, { isStock }: WrapOptions): string {
  const decorated = Reflect.getMetadata(ROUTE_ARGS_METADATA, constructor, methodName) as object | undefined;
  if (decorated && Object.keys(decorated).length > 0) return ROUTE_ARGS_METADATA;
  const types = isStock ? [SOCKET, PAYLOAD] : [SOCKET, CLIENT_ID, PAYLOAD];
  const args = types.map((type, index) => [`${type}:${index}`, { index, data: undefined, pipes: [] }]);
  const key = isStock ? STOCK_ARGS_METADATA : DEFAULT_ARGS_METADATA;
  Reflect.defineMetadata(key, Object.fromEntries(args), constructor, methodName);
  return key;
}

/**
 * Interceptors turn every result into an Observable, so the handler itself is watched here for a stream. The source is returned
 * as it is: Nest's frames, which hold the data, are gone before it runs.
 */
function streaming(
  inner: Internals['interceptorsConsumer'],
  outcome: (result: unknown, call: RouteCall) => unknown = (result) => result,
): Internals['interceptorsConsumer'] {
  return {
    async intercept(interceptors, args, instance, callback, next, type) {
      const call = args[2] as RouteCall;
      const kept = call.try && (await call.try.claim()); // the guards have let it pass
      if (kept) return kept;
      const watched = async (): Promise<unknown> => {
        const result = await next();
        const isStream = isObservable(result) || isAsyncIterable(result);
        return isStream && !call.startStream() ? EMPTY : result;
      };
      const result = outcome(await inner.intercept(interceptors, args, instance, callback, watched, type), call);
      return isObservable(result) || isAsyncIterable(result) ? new Source(result) : result;
    },
  };
}
