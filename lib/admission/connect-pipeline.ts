import { type CanActivate, type ExceptionFilter, ForbiddenException, Logger, type Type } from '@nestjs/common';
import { fromEvent, isObservable, lastValueFrom, takeUntil } from 'rxjs';
import { InvalidOptionsError } from '../errors.js';
import { errorOf, isA } from '../protocol/thrown.js';
import type { UpgradeRequest } from '../auth/upgrade-request.js';
import { describeError, statusOf } from '../routing/describe-error.js';
import type { FindInstance } from '../routing/find-instance.js';
import type { ConnectOptions } from './connect-options.js';
import { UpgradeContext } from './upgrade-context.js';
import { UpgradeResponse } from './upgrade-response.js';

/** A handshake that a guard refused. */
export interface Denial {
  error: unknown;
  /** The answer of a guard or a filter, if one answered, and the headers they set. */
  response: UpgradeResponse;
}

/** Nest's own key of `@Catch()`, not exported from a package root. */
const CATCHES = '__filterCatchExceptions__';

/** Runs Nest's guards to decide whether a client may connect. */
export class ConnectPipeline {
  readonly #logger = new Logger('WebSocketServer');

  private constructor(
    private readonly guards: readonly CanActivate[],
    private readonly filters: readonly ExceptionFilter[],
  ) {}

  /** @throws {InvalidOptionsError} for a class that can't be found or created */
  static async of(
    { guards = [], filters = [] }: Pick<ConnectOptions, 'guards' | 'filters'>,
    find: FindInstance | undefined,
  ): Promise<ConnectPipeline> {
    return new ConnectPipeline(
      await instancesOf(guards, 'connect.guards', 'canActivate', find),
      await instancesOf(filters, 'connect.filters', 'catch', find),
    );
  }

  /** @param signal aborted when nobody waits for the decision any more @returns undefined when every guard allows it */
  async refuses(request: UpgradeRequest, signal: AbortSignal): Promise<Denial | undefined> {
    const response = new UpgradeResponse();
    const context = new UpgradeContext(request, response);
    try {
      for (const guard of this.guards) {
        if (signal.aborted) return undefined;
        if (!(await answerOf(guard.canActivate(context), signal))) throw new ForbiddenException('Forbidden resource');
        if (response.headersSent) return { error: undefined, response }; // the guard itself answered
      }
      return undefined;
    } catch (error) {
      if (response.headersSent) return { error, response };
      response.statusCode = statusOf(error);
      return { error: await this.#filter(error, context), response };
    }
  }

  /**
   * @returns the error to answer with. A filter may throw another error that is meant for the peer. A filter that fails
   * is ignored
   */
  async #filter(error: unknown, context: UpgradeContext): Promise<unknown> {
    const filter = this.filters.find((candidate) => catches(candidate, error));
    try {
      // oxlint-disable-next-line promise/valid-params, promise/no-promise-in-callback -- the method of a filter, not of a promise
      await filter?.catch(error, context);
      return error;
    } catch (failure) {
      if (failure === error || describeError(failure).isMeantForPeer) return failure;
      this.#logger.warn(
        `A filter of "connect.filters" failed, so the error is answered without it: ${errorOf(failure).message}`,
      );
      return error;
    }
  }
}

async function answerOf(answer: ReturnType<CanActivate['canActivate']>, signal: AbortSignal): Promise<boolean> {
  if (!isObservable(answer)) return answer;
  return lastValueFrom(answer.pipe(takeUntil(fromEvent(signal, 'abort'))), { defaultValue: false });
}

function catches(filter: ExceptionFilter, error: unknown): boolean {
  const types = Reflect.getMetadata(CATCHES, filter.constructor) as Type[] | undefined;
  return !types?.length || types.some((type) => isA(error, type));
}

async function instancesOf<T extends object>(
  given: readonly (Type<T> | T)[],
  option: string,
  method: string,
  find: FindInstance | undefined,
): Promise<T[]> {
  const instances: T[] = [];
  for (const one of given) {
    const name = typeof one === 'function' ? one.name : one.constructor.name;
    if (typeof one === 'function' && !find)
      throw new InvalidOptionsError([
        `"${option}" names the class ${name}, which only a Nest application can create: give an instance`,
      ]);
    const instance = typeof one === 'function' ? await (find as FindInstance)(one, option) : one;
    if (typeof (instance as Record<string, unknown>)[method] !== 'function')
      throw new InvalidOptionsError([`"${option}" names ${name}, which has no method ${method}(): add it`]);
    instances.push(instance);
  }
  return instances;
}
