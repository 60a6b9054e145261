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
