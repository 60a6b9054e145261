import { createHash } from 'node:crypto';
import { errorOf } from '../protocol/thrown.js';
import type { RedisConnection } from './redis-connections.js';

export type Arg = string | number;

/** A script, and the digest by which Redis knows it. */
export interface Script {
  readonly text: string;
  readonly digest: string;
}

export const scriptOf = (text: string): Script => ({ text, digest: createHash('sha1').update(text).digest('hex') });

/** Calls a script by its digest, and sends it whole where this Redis doesn't know it yet (https://redis.io/docs/latest/commands/evalsha). */
export async function evaluate(
  redis: RedisConnection,
  { digest, text }: Script,
  keys: readonly string[],
  args: readonly Arg[],
): Promise<unknown> {
  try {
    return await redis.evalsha(digest, keys.length, ...keys, ...args);
  } catch (error) {
    if (!isUnknownScript(error)) throw error;
    return redis.eval(text, keys.length, ...keys, ...args);
  }
}

export const isUnknownScript = (error: unknown): boolean => errorOf(error).message.startsWith('NOSCRIPT');
