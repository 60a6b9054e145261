import { Scope, type Type } from '@nestjs/common';
import type { ModuleRef } from '@nestjs/core';
import { InvalidOptionsError } from '../errors.js';

/** Finds or makes the instance of a class that an option names. */
export type FindInstance = <T>(type: Type<T>, option: string) => Promise<T>;

/**
 * The application's own instance, wherever it is provided; a class that nobody provides is made once, with what this module can
 * inject, and initialised.
 * @throws {InvalidOptionsError}
 */
export async function findInstance<T>(moduleRef: ModuleRef, type: Type<T>, option: string): Promise<T> {
  const scope = scopeOf(moduleRef, type);
  if (scope === Scope.DEFAULT) return moduleRef.get(type, { strict: false });
  if (scope === Scope.REQUEST)
    throw new InvalidOptionsError([
      `"${option}" names ${type.name}, which is request-scoped, and there is no request of Nest's here: give it the default scope`,
    ]);
  try {
    const made = await moduleRef.create(type);
    await (made as { onModuleInit?: () => unknown }).onModuleInit?.();
    return made;
  } catch (error) {
    const [reason] = (error as Error).message.split('\n');
    throw new InvalidOptionsError([
      `"${option}" names ${type.name}, which can't be made here: ${reason} Add it to the providers of one of your modules`,
    ]);
  }
}

/** Undefined for a class that nobody provides. */
function scopeOf(moduleRef: ModuleRef, type: Type): Scope | undefined {
  try {
    return moduleRef.introspect(type).scope;
  } catch {
    return undefined; // Nest throws: here that is an answer.
  }
}
