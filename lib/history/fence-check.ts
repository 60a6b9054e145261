import { permissionError } from '../cluster/redis-failure.js';
import type { RedisConnection } from '../cluster/redis-connections.js';
import { ConnectionError } from '../errors.js';
import { errorOf } from '../protocol/thrown.js';

/** As the scripts of the log do it. The key only says where a Redis Cluster shall run it. */
const PROBE = `
local info = redis.pcall('INFO', 'replication')
return type(info) == 'string' and KEYS[1] or info
`;

/** Of a script, Redis 7.0 doesn't say which command it was. */
const INFO_DENIED = /can't run this command|\binfo\b/i;

/** What the replication id is needed for. */
export interface Fenced {
  place: string;
  /** What it means when INFO is refused. */
  unfenced: string;
}

export const FENCED_HISTORY: Fenced = {
  place: 'rooms.history',
  unfenced:
    'Redis refuses INFO to this user, so nobody notices a restart or a failover: members of rooms with history may be told ' +
    'that they got everything when Redis lost messages. Add the rule "+info" to its ACL, or set "onRestart" to \'trust\' in ' +
    'rooms.history if this Redis never loses any.',
};

/**
 * Asks whether this Redis tells its replication id. Without it nobody notices that something was lost in a restart or a
 * failover, so that has to be said. Once it has been answered, it isn't asked again.
 */
export class FenceCheck {
  #isDone = false;

  constructor(
    private readonly prefix: string,
    private readonly guarded: Fenced,
    private readonly failed: (error: Error, place: string) => void,
  ) {}

  /** Never rejects. */
  async run(redis: RedisConnection): Promise<void> {
    if (this.#isDone) return;
    try {
      await redis.eval(PROBE, 1, `${this.prefix}:{fence}:m`);
      this.#isDone = true;
    } catch (thrown) {
      const error = errorOf(thrown);
      const found = INFO_DENIED.test(error.message)
        ? new ConnectionError(this.guarded.unfenced)
        : permissionError(error, this.prefix);
      if (!found) return; // the next connection asks again
      this.#isDone = true;
      this.failed(found, this.guarded.place);
    }
  }
}
