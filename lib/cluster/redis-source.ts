/**
 * Options of ioredis, as `new Redis(options)` takes them. They aren't imported from ioredis: an application without
 * Redis compiles without it.
 */
export interface RedisSettings {
  /** @default 'localhost' */
  host?: string;
  /** @default 6379 */
  port?: number;
  /** An ACL user. @default 'default' */
  username?: string;
  password?: string;
  /** Must be 0 with Redis Cluster. @default 0 */
  db?: number;
  /** Options of Node's `tls.connect()`. `{}` is TLS with their defaults. */
  tls?: object;
  /** Together with `name`: Redis Sentinel. */
  sentinels?: { host?: string; port?: number }[];
  /** The group of masters that the Sentinels watch. */
  name?: string;
  /** Any other option of ioredis. */
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
