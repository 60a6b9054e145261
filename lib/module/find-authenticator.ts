import type { InjectionToken, Type } from '@nestjs/common';
import type { ModuleRef } from '@nestjs/core';
import { InvalidOptionsError } from '../errors.js';
import { findInstance } from '../routing/find-instance.js';
import type { AuthOptions } from '../auth/auth-options.js';
import type { WebSocketAuthenticator } from '../auth/identity.js';

/**
 * Finds the authenticator of `useExisting` or `useClass`: the application's own instance, whichever module provides it. A class
 * without a provider is created with what this module can inject.
 * @throws {InvalidOptionsError}
 */
export async function findAuthenticator(
  moduleRef: ModuleRef,
  { useClass, useExisting }: Pick<AuthOptions, 'useClass' | 'useExisting'>,
): Promise<WebSocketAuthenticator> {
  const option = useClass ? 'auth.useClass' : 'auth.useExisting';
  const token = useClass ?? useExisting;
  const name = typeof token === 'function' ? token.name : String(token);
  const found = useClass ? await findInstance(moduleRef, useClass, option) : find(moduleRef, token);
  if (!found)
    throw new InvalidOptionsError([
      `"${option}" names ${name}, which no module provides: add it to the providers of one`,
    ]);
  if (typeof found.authenticate !== 'function')
    throw new InvalidOptionsError([`"${option}" names ${name}, which has no method authenticate(request): add it`]);
  return found;
}

function find(moduleRef: ModuleRef, token: InjectionToken | undefined): WebSocketAuthenticator | undefined {
  try {
    return moduleRef.get<WebSocketAuthenticator>(token as Type, { strict: false });
  } catch {
    return undefined; // Nest throws for a token without a provider.
  }
}
