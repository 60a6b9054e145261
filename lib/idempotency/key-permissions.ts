import type { RedisConnection } from '../cluster/redis-connections.js';
import { permissionError } from '../cluster/redis-failure.js';
import { errorOf } from '../protocol/thrown.js';

/** For how long a key of the rehearsal stays if this process ends meanwhile, in ms. */
const STAYS_MS = 1_000;

/**
 * Runs each command that the scripts need, without an effect, so that a denied permission is noticed at the start. EVAL was
 * noticed before, and INFO is reported.
 * @throws {ConnectionError} when Redis denies a permission. It names the rule that is missing
 */
export async function rehearse(redis: RedisConnection, prefix: string): Promise<void> {
  const key = `${prefix}:{once:0}:rehearsal`;
  const answers = await Promise.allSettled([
    redis.time(),
    redis.set(key, 0, 'PX', STAYS_MS),
    redis.incr(key),
    redis.decr(key),
    redis.get(key),
    redis.exists(key),
    redis.del(key),
    redis.hset(key, 'field', 0),
    redis.hmget(key, 'field'),
    redis.pexpire(key, STAYS_MS),
    redis.del(key),
  ]);
  for (const answer of answers) {
    const denied = answer.status === 'rejected' && permissionError(errorOf(answer.reason), `${prefix}:`);
    if (denied) throw denied;
  }
}
