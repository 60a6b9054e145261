import type { ModuleRef } from '@nestjs/core';
import type { Resources } from '../resources.js';
import { PXL_DATABASE, PXL_QUEUE_MANAGER, PXL_REDIS } from './tokens.js';

/** Searches all modules of the application, once they are loaded. */
export function findResources(moduleRef: ModuleRef): Resources {
  return {
    redisInstance: findOptional(moduleRef, PXL_REDIS),
    queueManager: findOptional(moduleRef, PXL_QUEUE_MANAGER),
    databaseInstance: findOptional(moduleRef, PXL_DATABASE),
  };
}

function findOptional(moduleRef: ModuleRef, token: symbol): unknown {
  try {
    return moduleRef.get<unknown>(token, { strict: false });
  } catch {
    return undefined; // Nest throws for a token without a provider.
  }
}
