import { errorOf } from '../protocol/thrown.js';
import type { RedisConnection } from './redis-connections.js';

/** Keys of ours that another program has overwritten. They are removed, as if Redis had lost them: then they are written again. */
export class ForeignKeys {
  constructor(
    private readonly connection: () => RedisConnection,
    private readonly failed: (error: Error) => void,
  ) {}

  /** Runs a command on these keys. If one of them has another type, all are removed, and the command runs again. */
  async mend<T>(keys: readonly string[], command: () => Promise<T>): Promise<T> {
    try {
      return await command();
    } catch (error) {
      if (!isWrongType(error)) throw error;
      await this.remove(keys, error);
      return command();
    }
  }

  async remove(keys: readonly string[], cause?: unknown): Promise<void> {
    await this.connection().del(...keys);
    this.failed(new Error(`${overwritten(keys)} It was removed, and is written again within 4 s.`, { cause }));
  }
}

export function overwritten(keys: readonly string[]): string {
  const names = keys.map((key) => `"${key}"`).join(' or ');
  return `In Redis, another program has overwritten ${names}, which only the nodes may write.`;
}

export const isWrongType = (error: unknown): boolean => errorOf(error).message.startsWith('WRONGTYPE');
