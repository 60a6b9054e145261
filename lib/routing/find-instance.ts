import { Scope, type Type } from '@nestjs/common';
import type { ModuleRef } from '@nestjs/core';
import { InvalidOptionsError } from '../errors.js';

/** Finds or creates the instance of a class in an option. */
export type FindInstance = <T>(type: Type<T>, option: string) => Promise<T>;

/**
 * Finds the application's own instance, whichever module provides it. A class without a provider is created once, with what
 * this module can inject, and initialised.
 * @throws {InvalidOptionsError}
 */
export async function findInstance<T>(moduleRef: ModuleRef, type: Type<T>, option: string): Promise<T> {
  const scope = scopeOf(moduleRef, type);
  if (scope === Scope.DEFAULT) return moduleRef.get(type, { strict: false });
  if (scope === Scope.REQUEST)
    throw new InvalidOptionsError([
      `"${option}" names ${type.name}, which is request-scoped, but there is no Nest request here: give it the default scope`,
    ]);
  try {
    const made = await moduleRef.create(type);
    await (made as { onModuleInit?: () => unknown }).onModuleInit?.();
    return made;
  } catch (error) {
    const [reason] = (error as Error).message.split('\n');
    throw new InvalidOptionsError([
      `"${option}" names ${type.name}, which can't be created here: ${reason} Add it to the providers of one of your modules`,
    ]);
  }
}

/** Undefined for a class without a provider. */
function scopeOf(moduleRef: ModuleRef, type: Type): Scope | undefined {
  try {
    return moduleRef.introspect(type).scope;
  } catch {
    return undefined; // Nest throws for a class without a provider.
  }
}
