import type { ArgumentsHost, ContextType } from '@nestjs/common';
import { isA } from '../protocol/thrown.js';
import { describeError } from './describe-error.js';
import { overhear } from './overheard.js';
import { type RouteCall } from './route-call.js';
import { Source } from './stream-source.js';

type AnyFunction = (...args: unknown[]) => unknown;

/** The part of Nest's `ExternalExceptionsHandler` that we use. */
export interface FilterRunner {
  filters?: readonly unknown[];
  invokeCustomFilters(exception: unknown, host: ArgumentsHost): unknown;
}

/** Called with the error of a filter. */
export type PassedOver = (failure: unknown, pattern: string) => void;

/** A filter's return value is the reply. Without one, the error itself is answered. */
export function runFilters(
  target: AnyFunction,
  filters: FilterRunner,
  type: ContextType,
  passedOver: PassedOver,
): AnyFunction {
  return async (ws, data, call, pattern) => {
    try {
      const result = await target(ws, data, call, pattern);
      if (!(result instanceof Source)) return result;
      data = undefined; // a stream may last for months
      return await result.runBy(call as RouteCall);
    } catch (error) {
      const host = new RouteArgumentsHost([ws, data, call, pattern], type);
      const answer = await answerOf(filters, error, host, passedOver);
      if (isA(answer, Error)) throw answer;
      return answer;
    }
  };
}

/**
 * Lets a filter handle an error. The filter may throw another exception that is meant for the peer. If it throws anything else,
 * it has failed, e.g. because it is made for HTTP and asks for a response. The first error is then answered without the filter.
 * @throws the error to answer with, if no filter answers
 */
async function answerOf(
  filters: FilterRunner,
  error: unknown,
  host: RouteArgumentsHost,
  passedOver: PassedOver,
): Promise<unknown> {
  const overheard = overhear(host.getArgByIndex(0));
  let answer: unknown;
  try {
    answer = await filters.invokeCustomFilters(error, host);
  } catch (failure) {
    if (failure === error || describeError(failure).isMeantForPeer) throw failure;
    passedOver(failure, host.switchToWs().getPattern());
  } finally {
    overheard.stop();
  }
  if (answer === undefined || answer === null) throw overheard.exception ?? error;
  return answer;
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
    throw new TypeError('This is a WebSocket message: use switchToWs().');
  }

  switchToRpc(): never {
    return this.switchToHttp();
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
