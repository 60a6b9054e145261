import { jest } from '@jest/globals';
import { Command } from 'ioredis';

/**
 * Until the mocks are restored, no command of ioredis fails because its answer takes long: a busy machine takes longer for very
 * many at once.
 */
export function giveRedisAllTheTime(): void {
  jest.spyOn(Command.prototype, 'setTimeout').mockReturnValue();
}
