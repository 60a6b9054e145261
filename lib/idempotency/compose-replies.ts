import { FenceCheck, type Fenced } from '../history/fence-check.js';
import { LogConnection } from '../history/log-connection.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import type { System } from '../system.js';
import { IdempotentCalls } from './idempotent-calls.js';
import { KeyBudget } from './key-budget.js';
import { rehearse } from './key-permissions.js';
import { MemoryReplyStore } from './memory-reply-store.js';
import { RedisReplyStore } from './redis-reply-store.js';
import type { ReplyStore } from './reply-store.js';

const PLACE = 'the connection for the keys of messages';

const FENCED: Fenced = {
  place: 'the keys of messages',
  unfenced:
    'Redis refuses INFO to this user, so nobody notices that a restart or a failover lost keys: a message that is sent again ' +
    'may be handled twice. Add the rule "+info" to its ACL.',
};

type Failed = (error: unknown, place: string) => void;

/** Keeps the replies to messages with a key: in Redis where there is one. */
export function composeReplies(
  { redis, prefix, keys, messages }: Pick<ResolvedOptions, 'redis' | 'prefix' | 'keys' | 'messages'>,
  failed: Failed,
  system: System,
): IdempotentCalls {
  const { clock, ids } = system;
  let store: ReplyStore;
  if (redis === undefined) {
    const forgot = (keys: number): void =>
      failed(new Error(`${keys} keys were forgotten before their time: there are too many.`), 'the keys of messages');
    store = new MemoryReplyStore({ ...keys, clock, forgot, failed });
  } else {
    const fence = new FenceCheck(prefix, FENCED, failed);
    const connection = new LogConnection(redis, 'replies', system, failed, PLACE, async (opened) => {
      await fence.run(opened);
      await inRedis.watch().catch(() => undefined); // the first key tries again
    });
    const inRedis = new RedisReplyStore({
      connection: () => connection.open,
      connect: async () => {
        await connection.connect();
        await rehearse(connection.open, prefix);
      },
      close: () => connection.close(),
      prefix,
      maxPerUser: keys.maxPerUser,
      budget: new KeyBudget(keys.maxRedisBytes, clock),
      clock,
      failed,
    });
    store = inRedis;
  }
  const { handlerTimeoutMs } = messages;
  return new IdempotentCalls({ store, clock, handlerTimeoutMs, process: ids.uuid() });
}
