/**
 * Options of ioredis, as `new Redis(options)` takes them. They aren't imported from ioredis: an application without
 * Redis compiles without it.
 */
export interface RedisSettings {
  host?: string;
  port?: number;
  username?: string;
  password?: string;
  db?: number;
  tls?: object;
  /** Together with `name`: Redis Sentinel. */
  sentinels?: { host?: string; port?: number }[];
  name?: string;
  [option: string]: unknown;
}

/** A `Redis` or `Cluster` of ioredis. */
export interface RedisInstanceLike {
  readonly status: string;
  readonly isCluster: boolean;
  // The two have different parameters.
  // oxlint-disable-next-line typescript/no-explicit-any
  duplicate(...overrides: any[]): unknown;
}

/** A URL, ioredis options, or a connection of the application. A connection is duplicated, never used itself. */
export type RedisSource = string | RedisSettings | RedisInstanceLike;
