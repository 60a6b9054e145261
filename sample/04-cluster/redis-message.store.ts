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

  /** Keeps a message. A second one with the same key in the same room is the first one. */
  async add(message: NewMessage): Promise<{ message: ChatMessage; isNew: boolean }> {
    const { roomName, key } = message;
    const kept: ChatMessage = { ...message, id: await this.#redis.incr(this.#name('last-id')), at: Date.now() };
    const json = JSON.stringify(kept);
    if (key) {
      const earlier = await this.#redis.set(this.#name('key', roomName, key), json, 'EX', DAY_S, 'NX', 'GET');
      if (earlier) return { message: JSON.parse(earlier) as ChatMessage, isNew: false };
    }
    const room = this.#name('room', roomName);
    await this.#redis
      .multi()
      .lpush(room, json)
      .ltrim(room, 0, KEPT_PER_ROOM - 1)
      .expire(room, DAY_S)
      .exec();
    return { message: kept, isNew: true };
  }

  /** The last messages of a room, the oldest first. */
  async latest(roomName: string): Promise<ChatMessage[]> {
    const kept = await this.#redis.lrange(this.#name('room', roomName), 0, -1);
    return kept.map((json) => JSON.parse(json) as ChatMessage).toReversed();
  }

  #name(...parts: string[]): string {
    return [this.prefix, 'chat', ...parts].join(':');
  }
}
