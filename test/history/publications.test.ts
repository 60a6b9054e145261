import { expect, it } from '@jest/globals';
import { PublicationCache } from '../../lib/history/publications.js';
import type { LogEntry } from '../../lib/history/room-log.js';
import { ManualClock } from '../support/manual-clock.js';

const entry = (offset: number): LogEntry => ({ offset, storedAt: 0, frame: '{"type":"a"}', session: undefined });

it('encodes a message once for its members and for those that come back soon', async () => {
  const clock = new ManualClock();
  const cache = new PublicationCache(clock);
  const one = entry(1);
  const live = cache.encode('chat:1', 'e', one);
  expect(live.payload.toString()).toBe('{"type":"a","at":{"room":"chat:1","epoch":"e","offset":1}}');
  for (let n = 0; n < 10; n++) {
    await clock.pass(4_900);
    expect(cache.messageOf('chat:1', 'e', one)).toBe(live); // each use keeps it
  }
});

it('keeps nothing encoded that nobody asks for', async () => {
  const clock = new ManualClock();
  const cache = new PublicationCache(clock);
  const [one, two] = [entry(1), entry(2)];
  const live = [cache.encode('chat:1', 'e', one), cache.encode('chat:1', 'e', two)];
  await clock.pass(4_000);
  cache.messageOf('chat:1', 'e', two);
  await clock.pass(6_001);
  const again = [cache.messageOf('chat:1', 'e', one), cache.messageOf('chat:1', 'e', two)];
  for (const [at, message] of again.entries()) {
    expect(message).not.toBe(live[at]);
    expect(message.payload).toEqual(live[at]?.payload);
  }
  // One after a long silence ages, too.
  await clock.pass(60_000);
  expect(cache.messageOf('chat:1', 'e', one)).not.toBe(again[0]);
});
