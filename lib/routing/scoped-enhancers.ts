import type { ApplicationConfig, ContextId, ModuleRef } from '@nestjs/core';
import { InvalidOptionsError } from '../errors.js';

/** The part of Nest's `InstanceWrapper` that we use. */
interface Enhancer {
  readonly token: unknown;
  readonly name: unknown;
  readonly isTransient: boolean;
}

/**
 * Request-scoped global guards, pipes, interceptors and filters (`APP_GUARD` and the like). Nest itself creates them only for
 * controllers; for the routes of other classes they would silently not run.
 */
export class ScopedEnhancers {
  constructor(
    private readonly config: ApplicationConfig,
    private readonly moduleRef: ModuleRef,
  ) {}

  /**
   * Call it when Nest has created every provider. @throws {InvalidOptionsError} for a transient guard, pipe, interceptor or
   * filter, which Nest would never run
   */
  get areThere(): boolean {
    const all = this.#all();
    const transient = all.filter(({ isTransient }) => isTransient);
    if (transient.length > 0) throw new InvalidOptionsError(transient.map(transientFlaw));
    return all.length > 0;
  }

  /** Creates the instances for one message. Nest's own creators then find them by its context. */
  async make(contextId: ContextId): Promise<void> {
    const made = this.#all().map(({ token }) => this.moduleRef.resolve(token as never, contextId, { strict: false }));
    await Promise.all(made);
  }

  #all(): readonly Enhancer[] {
    return [
      ...this.config.getGlobalRequestGuards(),
      ...this.config.getGlobalRequestPipes(),
      ...this.config.getGlobalRequestInterceptors(),
      ...this.config.getGlobalRequestFilters(),
    ];
  }
}

/** The token is `APP_GUARD` and a random number of Nest's. */
const transientFlaw = ({ token, name }: Enhancer): string =>
  `${String(token).split(' ')[0]} is transient (${String(name)}), so it would run for no route: ` +
  'give it the default scope, or Scope.REQUEST';
