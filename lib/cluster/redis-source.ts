/**
 * Options of ioredis, as its `new Redis(options)` takes them. Described here, not imported: an application without Redis
 * needn't install ioredis to compile.
 */
export interface RedisSettings {
  host?: string;
  port?: number;
  username?: string;
  password?: string;
  db?: number;
  tls?: object;
  /** With `name`: Redis Sentinel. */
  sentinels?: { host?: string; port?: number }[];
  name?: string;
  [option: string]: unknown;
}

/** A `Redis` or `Cluster` of ioredis. */
export interface RedisInstanceLike {
  readonly status: string;
  readonly isCluster: boolean;
  // What a duplicate is given differs between the two.
  // oxlint-disable-next-line typescript/no-explicit-any
  duplicate(...overrides: any[]): unknown;
}

/** A URL, ioredis options, or a connection of the application's own: it is duplicated, never used itself. */
export type RedisSource = string | RedisSettings | RedisInstanceLike;
