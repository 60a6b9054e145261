import type { ModuleRef } from '@nestjs/core';
import { PXL_DATABASE, PXL_QUEUE_MANAGER, PXL_REDIS } from './tokens.js';

// What the application binds to the tokens is its own; the reference's controllers use these without a cast.
/* oxlint-disable typescript/no-explicit-any */
export type RedisInstance = any;
export type QueueManager = any;
export type DatabaseInstance = any;
/* oxlint-enable typescript/no-explicit-any */

/** What the application bound to `PXL_REDIS`, `PXL_QUEUE_MANAGER` and `PXL_DATABASE`; undefined where it bound none. */
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

/** Looks in every module of the application, once all of them are loaded. */
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
    return undefined; // Nest throws for a token that nobody binds: here that is an answer.
  }
}
