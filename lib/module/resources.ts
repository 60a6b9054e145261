import type { ModuleRef } from '@nestjs/core';
import { PXL_DATABASE, PXL_QUEUE_MANAGER, PXL_REDIS } from './tokens.js';

// The types are the application's own. Controllers of the PXL framework use these without a cast.
/* oxlint-disable typescript/no-explicit-any */
export type RedisInstance = any;
export type QueueManager = any;
export type DatabaseInstance = any;
/* oxlint-enable typescript/no-explicit-any */

/** The providers of `PXL_REDIS`, `PXL_QUEUE_MANAGER` and `PXL_DATABASE`; undefined without one. */
export interface Resources {
  redisInstance: RedisInstance;
  queueManager: QueueManager;
  databaseInstance: DatabaseInstance;
}

export const NO_RESOURCES: Resources = {
  redisInstance: undefined,
  queueManager: undefined,
  databaseInstance: undefined,
};

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
