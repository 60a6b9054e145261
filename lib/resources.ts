// The types are the application's own. Controllers of the PXL framework use these without a cast.
/* oxlint-disable typescript/no-explicit-any */
/** What your application provides under `PXL_REDIS`. */
export type RedisInstance = any;
/** What your application provides under `PXL_QUEUE_MANAGER`. */
export type QueueManager = any;
/** What your application provides under `PXL_DATABASE`. */
export type DatabaseInstance = any;
/* oxlint-enable typescript/no-explicit-any */

/** The providers of `PXL_REDIS`, `PXL_QUEUE_MANAGER` and `PXL_DATABASE`. Each is undefined if the application has none. */
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
