import { systemClock } from '../clock.js';
import { LogConnection } from '../history/log-connection.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { IdempotentCalls } from './idempotent-calls.js';
import { MemoryReplyStore } from './memory-reply-store.js';
import { RedisReplyStore } from './redis-reply-store.js';
import type { ReplyStore } from './reply-store.js';

type Failed = (error: unknown, place: string) => void;

/** Keeps the replies to messages with a key: in Redis where there is one. */
export function composeReplies(
  { redis, prefix }: Pick<ResolvedOptions, 'redis' | 'prefix'>,
  failed: Failed,
): IdempotentCalls {
  let store: ReplyStore;
  if (redis === undefined) {
    const forgot = (): void =>
      failed(new Error('A key was forgotten before its time: there are too many.'), 'the keys of messages');
    store = new MemoryReplyStore({ clock: systemClock, forgot, failed });
  } else {
    const connection = new LogConnection(redis, 'replies', failed, 'the connection for the keys of messages');
    store = new RedisReplyStore({
      connection: () => connection.open,
      connect: () => connection.connect(),
      close: () => connection.close(),
      prefix,
      clock: systemClock,
      failed,
    });
  }
  return new IdempotentCalls({ store, clock: systemClock });
}
