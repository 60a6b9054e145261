import { type CanActivate, type ExecutionContext, Logger } from '@nestjs/common';
import { isObservable, tap } from 'rxjs';
import { errorOf } from '../protocol/thrown.js';
import { isPromise } from './stream-source.js';

/** Watches the global guards. Each guard that is made for HTTP is reported once, with a remedy. */
export class GlobalGuards {
  readonly #logger = new Logger('WebSocketServer');
  readonly #named = new WeakSet<object>();

  watch(guard: CanActivate): CanActivate {
    return {
      canActivate: (context) => (this.#named.has(guard) ? guard.canActivate(context) : this.#ask(guard, context)),
    };
  }

  /** Returns the guard's own result: Nest tells promises and Observables apart. */
  #ask(guard: CanActivate, context: ExecutionContext): ReturnType<CanActivate['canActivate']> {
    let wantsHttp = false;
    const watched = Object.create(context, {
      switchToHttp: {
        value: () => {
          wantsHttp = true;
          return context.switchToHttp();
        },
      },
    }) as ExecutionContext;
    const look = (failure?: unknown): void => {
      if (wantsHttp || failure instanceof TypeError) this.#name(guard, context, failure);
    };
    const fail = (failure: unknown): never => {
      look(failure);
      throw failure;
    };
    let answer: ReturnType<CanActivate['canActivate']>;
    try {
      answer = guard.canActivate(watched);
    } catch (failure) {
      return fail(failure);
    }
    if (isObservable(answer)) return answer.pipe(tap({ next: () => look(), error: look }));
    if (!isPromise(answer)) {
      look();
      return answer;
    }
    return answer.then((decision) => {
      look();
      return decision;
    }, fail);
  }

  #name(guard: CanActivate, context: ExecutionContext, failure: unknown): void {
    if (this.#named.has(guard)) return;
    this.#named.add(guard);
    const outcome = failure === undefined ? '' : ` It failed (${errorOf(failure).message}).`;
    this.#logger.warn(
      `${nameOf(guard)}, a global guard, is made for HTTP, but it runs for WebSocket messages, too ` +
        `(${context.switchToWs().getPattern()}).${outcome} Leave it out there with the option "routes: { globalGuards: false }", ` +
        `or with @SkipGlobalGuards() on the class or method, or let it return true if context.getType() is 'ws'. ` +
        'To run it before a client connects, name it in "connect.guards".',
    );
  }
}

/** `AuthGuard()` returns a class that Nest's `mixin()` gives a random name; a class that extends it has its own. */
function nameOf(guard: CanActivate): string {
  const isOfPassport = Object.hasOwn(Object.getPrototypeOf(guard) as object, 'logIn');
  return isOfPassport ? 'AuthGuard (@nestjs/passport)' : guard.constructor.name;
}
