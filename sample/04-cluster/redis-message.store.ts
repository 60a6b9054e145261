import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { Redis } from 'ioredis';
import type { ChatMessage, MessageStore, NewMessage } from '../01-chat/message.store.js';

const KEPT_PER_ROOM = 50;
const DAY_S = 86_400;

/** The chat's store for several processes: what one wrote down, all of them read. Needs Redis 7. */
@Injectable()
export class RedisMessageStore implements Pick<MessageStore, 'add' | 'latest'>, OnApplicationShutdown {
  readonly #redis: Redis;
  readonly #logger = new Logger(RedisMessageStore.name);

  constructor(
    redisUrl: string,
    private readonly prefix: string,
  ) {
    this.#redis = new Redis(redisUrl, { maxRetriesPerRequest: 1 });
    this.#redis.on('error', (error: Error) => this.#logger.warn(error.message));
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#redis.quit().catch(() => this.#redis.disconnect());
  }

  /**
   * Keeps a message. With a key that is known in the room, it is the first one again; it is written again, too, because the
   * process that wrote it may have been killed in between.
   */
  async add({ roomName, key, ...news }: NewMessage): Promise<ChatMessage> {
    let message: ChatMessage = { id: await this.#redis.incr(this.#name('last-id')), roomName, ...news, at: Date.now() };
    if (key) {
      message.key = key;
      const given = JSON.stringify(message);
      const first = await this.#redis.set(this.#name('key', roomName, key), given, 'EX', DAY_S, 'NX', 'GET');
      if (first) message = JSON.parse(first) as ChatMessage;
    }
    const room = this.#name('room', roomName);
    await this.#redis
      .multi()
      .zadd(room, String(message.id), JSON.stringify(message))
      .zremrangebyrank(room, 0, -1 - KEPT_PER_ROOM)
      .expire(room, DAY_S)
      .exec();
    return message;
  }

  /** The last messages of a room, the oldest first. */
  async latest(roomName: string): Promise<ChatMessage[]> {
    const kept = await this.#redis.zrange(this.#name('room', roomName), '0', '-1');
    return kept.map((json) => JSON.parse(json) as ChatMessage);
  }

  #name(...parts: string[]): string {
    return [this.prefix, 'chat', ...parts].join(':');
  }
}
