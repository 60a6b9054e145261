import { afterAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import * as fc from 'fast-check';
import { Backoff, type BackoffOptions } from '../../lib/client/backoff.js';
import type { CloseAdvice } from '../../lib/protocol/close-codes.js';

const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const attempt = fc.nat(5_000);

const random = jest.spyOn(Math, 'random');
const now = jest.spyOn(performance, 'now');
beforeEach(() => {
  random.mockReturnValue(0.5);
  now.mockReturnValue(0);
});
afterAll(() => void jest.restoreAllMocks());

const makeBackoff = (): Backoff => new Backoff({ minDelayMs: 500, maxDelayMs: 30_000 });

/** How long it waits before this attempt, counted from 0, if this is the random number. */
function backoffDelay(options: BackoffOptions & { advice: CloseAdvice; attempt: number; random: number }): number {
  random.mockReturnValue(options.random);
  const backoff = new Backoff(options);
  for (let count = 0; count < options.attempt; count += 1) backoff.next(options.advice);
  return backoff.next(options.advice);
}

describe('L6: full-jitter backoff', () => {
  it('L6: waits between nothing and a ceiling that doubles up to the longest delay', () => {
    fc.assert(
      fc.property(attempt, fraction, (count, number) => {
        const options = { advice: 'reconnect', minDelayMs: 500, maxDelayMs: 30_000 } as const;
        const delayMs = backoffDelay({ ...options, attempt: count, random: number });
        expect(delayMs).toBe(number * Math.min(30_000, 500 * 2 ** count));
      }),
    );
  });

  it('L6: spreads clients that were lost together over the whole range', () => {
    const delays = Array.from({ length: 1_000 }, (_, index) =>
      backoffDelay({
        advice: 'reconnect',
        attempt: 6,
        minDelayMs: 500,
        maxDelayMs: 30_000,
        random: index / 1_000,
      }),
    );
    expect(Math.min(...delays)).toBe(0);
    expect(Math.max(...delays)).toBeGreaterThan(29_900);
    expect(new Set(delays).size).toBe(1_000);
  });

  it('L6: waits at least half of the longest delay when the server asks to back off', () => {
    fc.assert(
      fc.property(attempt, fraction, (count, number) => {
        const options = { advice: 'back-off', minDelayMs: 500, maxDelayMs: 30_000 } as const;
        const delayMs = backoffDelay({ ...options, attempt: count, random: number });
        expect(delayMs).toBeGreaterThanOrEqual(15_000);
        expect(delayMs).toBeLessThanOrEqual(30_000);
      }),
    );
  });

  it('L6: comes back within 500 ms when asked to, but not again and again', () => {
    random.mockReturnValue(0.999);
    const backoff = new Backoff({ minDelayMs: 4_000, maxDelayMs: 30_000 });
    expect(backoff.next('reconnect-now')).toBeLessThan(500);
    expect(backoff.next('reconnect-now')).toBeGreaterThan(7_000);
    expect(backoff.next('reconnect-now')).toBeGreaterThan(15_000);
  });

  it('L6: never waits longer than the longest delay, not even promptly', () => {
    const delayMs = backoffDelay({
      advice: 'reconnect-now',
      attempt: 0,
      minDelayMs: 5,
      maxDelayMs: 20,
      random: 0.9,
    });
    expect(delayMs).toBeLessThan(20);
  });

  it('L6: is unlimited', () => {
    const backoff = makeBackoff();
    for (let count = 0; count < 10_000; count += 1) backoff.next('reconnect');
    expect(backoff.attempts).toBe(10_000);
    expect(backoff.next('reconnect')).toBe(15_000);
  });

  it('starts anew after a connection that lasted', () => {
    const backoff = makeBackoff();
    for (let count = 0; count < 8; count += 1) backoff.next('reconnect');
    backoff.connected();
    now.mockReturnValue(10_000);
    backoff.lost();
    expect(backoff.attempts).toBe(0);
    expect(backoff.next('reconnect')).toBe(250);
  });

  it('goes on where it was after a server that accepts and drops at once', () => {
    const backoff = makeBackoff();
    for (let count = 0; count < 3; count += 1) {
      now.mockReturnValue(count * 10_000);
      backoff.next('reconnect');
      backoff.connected();
      now.mockReturnValue(count * 10_000 + 9_999);
      backoff.lost();
    }
    expect(backoff.attempts).toBe(3);
    expect(backoff.next('reconnect')).toBe(2_000);
  });
});
