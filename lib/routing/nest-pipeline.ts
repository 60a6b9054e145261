import type { ArgumentsHost, ContextType } from '@nestjs/common';
import type { ExternalContextCreator } from '@nestjs/core';
import { isObservable } from 'rxjs';
import { isAsyncIterable, type RouteCall } from './route-call.js';

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
  invokeCustomFilters(exception: unknown, host: ArgumentsHost): unknown;
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

  constructor(creator: ExternalContextCreator) {
    const internals = creator as unknown as Internals;
    this.#creator = Object.create(creator, {
      interceptorsConsumer: { value: streaming(internals.interceptorsConsumer) },
      externalErrorProxy: { value: { createProxy: runFilters } },
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
    return (call) => run(call.ws, call.data, call, `${call.type}/${call.action}`);
  }
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
        if (isObservable(result) || isAsyncIterable(result)) call.startStream();
        return result;
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
