import type { ArgumentsHost, ContextType } from '@nestjs/common';
import type { ExternalContextCreator } from '@nestjs/core';
import { EMPTY, isObservable } from 'rxjs';
import { isAsyncIterable, isPromise, type RouteCall } from './route-call.js';

/** Nest's own key for parameter decorators; not exported from a package root. */
const ROUTE_ARGS_METADATA = '__routeArguments__';
/** Ours, for methods without parameter decorators: they get `(ws, clientId, data)`. */
const DEFAULT_ARGS_METADATA = 'pxl:default-arguments';
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

interface FilterRunner {
  filters?: readonly unknown[];
  invokeCustomFilters(exception: unknown, host: ArgumentsHost): unknown;
}

/** A parameter of a handler, as Nest hands it to its pipes. */
interface Param {
  index: number;
  pipes: unknown[];
  extractValue(...args: unknown[]): unknown;
}

/** What Nest found around one method, overheard while it wraps it. */
interface Found {
  guards?: unknown[];
  pipes?: unknown[];
  interceptors?: unknown[];
  filters?: FilterRunner;
  params?: Param[];
}

/** What we lean on inside ExternalContextCreator. `nest-pipeline.test.ts` fails when a new Nest moves it. */
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
  createGuardsFn(guards: unknown[], ...more: unknown[]): unknown;
  createPipesFn(pipes: unknown[], params: Param[]): unknown;
  externalErrorProxy: {
    createProxy(target: AnyFunction, filters: FilterRunner, type: ContextType): AnyFunction;
  };
}

/**
 * Nest's `ExternalContextCreator`, which runs guards, pipes, interceptors and filters (global ones included) around any
 * method, with two changes: Observables stream instead of collapsing to their last value, and an exception that no
 * filter answers comes back without being logged as an error (a peer's bad input is not our error).
 */
export class NestPipeline {
  readonly #creator: ExternalContextCreator;
  #found: Found = {};

  constructor(creator: ExternalContextCreator) {
    const internals = creator as unknown as Internals;
    this.#creator = Object.create(creator, {
      interceptorsConsumer: { value: streaming(internals.interceptorsConsumer) },
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
            runFilters(target, (this.#found.filters = filters), type),
        },
      },
    }) as ExternalContextCreator;
  }

  /** Wraps one method; done once for a static instance, once per message for a request-scoped one. */
  wrap(
    instance: object,
    methodName: string,
    contextId?: { id: number },
    inquirerId?: string,
  ): (call: RouteCall) => unknown {
    const method = (instance as Record<string, AnyFunction>)[methodName] as AnyFunction;
    this.#found = {};
    const run = this.#creator.create(
      instance,
      method,
      methodName,
      argumentsMetadata(instance.constructor, methodName),
      paramsFactory,
      contextId,
      inquirerId,
      { guards: true, interceptors: true, filters: true },
      'ws',
    ) as AnyFunction;
    const params = paramsOfBare(this.#found);
    if (params) return (call) => callBare(instance, method, params, call);
    return (call) => run(call.ws, call.data, call, `${call.type}/${call.action}`);
  }
}

/** The parameters of a method with nothing around it. Undefined where something is, or where Nest told less than all. */
function paramsOfBare({ guards, pipes, interceptors, filters, params }: Found): Param[] | undefined {
  if (guards?.length !== 0 || pipes?.length !== 0 || interceptors?.length !== 0) return undefined;
  if (filters?.filters?.length !== 0 || !params || params.length === 0) return undefined;
  return params.every((param) => param.pipes.length === 0) ? params : undefined;
}

/** Without guards, pipes, interceptors and filters nothing need be awaited: the handler is called where the message came in. */
function callBare(instance: object, method: AnyFunction, params: Param[], call: RouteCall): unknown {
  const pattern = `${call.type}/${call.action}`;
  const args: unknown[] = [];
  let isWaiting = false;
  for (const { index, extractValue } of params) {
    const value = extractValue(call.ws, call.data, call, pattern);
    args[index] = value;
    isWaiting ||= isPromise(value);
  }
  if (isWaiting) return Promise.all(args).then((values) => call.take(method.apply(instance, values)));
  return call.take(method.apply(instance, args));
}

/** A method without parameter decorators is given some, under a key of our own that nobody else reads. */
function argumentsMetadata(constructor: object, methodName: string): string {
  const decorated = Reflect.getMetadata(ROUTE_ARGS_METADATA, constructor, methodName) as object | undefined;
  if (decorated && Object.keys(decorated).length > 0) return ROUTE_ARGS_METADATA;
  const args = [SOCKET, CLIENT_ID, PAYLOAD].map((type, index) => [
    `${type}:${index}`,
    { index, data: undefined, pipes: [] },
  ]);
  Reflect.defineMetadata(DEFAULT_ARGS_METADATA, Object.fromEntries(args), constructor, methodName);
  return DEFAULT_ARGS_METADATA;
}

/**
 * Interceptors turn every result into an Observable, so only the handler itself can say whether it streams: it is
 * watched here. The stream runs to its end inside, so that filters see its errors, too.
 */
function streaming(inner: Internals['interceptorsConsumer']): Internals['interceptorsConsumer'] {
  return {
    async intercept(interceptors, args, instance, callback, next, type) {
      const call = args[2] as RouteCall;
      const watched = async (): Promise<unknown> => {
        const result = await next();
        const isStream = isObservable(result) || isAsyncIterable(result);
        return isStream && !call.startStream() ? EMPTY : result;
      };
      return call.consume(await inner.intercept(interceptors, args, instance, callback, watched, type));
    },
  };
}

/** A filter's return value is the reply; one that returns nothing leaves the answer to us. */
function runFilters(target: AnyFunction, filters: FilterRunner, type: ContextType): AnyFunction {
  return async (...args) => {
    try {
      return await target(...args);
    } catch (error) {
      const answer = await answerOf(filters, error, new RouteArgumentsHost(args, type));
      if (answer === undefined || answer === null) throw error;
      if (answer instanceof Error) throw answer;
      return answer;
    }
  };
}

/** A global filter that was written for HTTP alone reaches for the HTTP response: then it is as if there were none. */
async function answerOf(filters: FilterRunner, error: unknown, host: ArgumentsHost): Promise<unknown> {
  try {
    return await filters.invokeCustomFilters(error, host);
  } catch (failure) {
    if (failure instanceof NotHttpError) return undefined;
    throw failure;
  }
}

class NotHttpError extends TypeError {
  constructor() {
    super('This is a WebSocket message: use switchToWs().');
  }
}

/** Nest's ExecutionContextHost is not exported from a package root in both majors. */
class RouteArgumentsHost implements ArgumentsHost {
  constructor(
    private readonly args: unknown[],
    private readonly type: string,
  ) {}

  getArgs<T extends unknown[]>(): T {
    return this.args as T;
  }

  getArgByIndex<T>(index: number): T {
    return this.args[index] as T;
  }

  getType<T extends string>(): T {
    return this.type as T;
  }

  switchToHttp(): never {
    throw new NotHttpError();
  }

  switchToRpc(): never {
    throw new NotHttpError();
  }

  switchToWs(): ReturnType<ArgumentsHost['switchToWs']> {
    const { args } = this;
    return {
      getClient: <T>() => args[0] as T,
      getData: <T>() => args[1] as T,
      getPattern: () => args[args.length - 1] as string,
    };
  }
}
