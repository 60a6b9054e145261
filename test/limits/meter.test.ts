import { describe, expect, it } from '@jest/globals';
import { systemClock } from '../../lib/clock.js';
import { KeyedRate } from '../../lib/limits/keyed-rate.js';
import { Meter } from '../../lib/limits/meter.js';

const RATE = { perSecond: 30, burst: 60, bytesPerSecond: 1_000, strikes: 3, strikeWindowMs: 10_000 };

describe('strikes', () => {
  /** Which of the messages over the rate, by the time they came, is the end. */
  function endOf(times: number[], rate: Partial<typeof RATE> = {}): number | undefined {
    const meter = new Meter({ ...RATE, ...rate }, 1_000, systemClock);
    const end = times.findIndex((now) => meter.strike(now));
    return end === -1 ? undefined : end;
  }
  const at = (now: number, count: number): number[] => Array<number>(count).fill(now);

  it('are none for a client that meets the rate now and then', () => {
    expect(endOf(Array.from({ length: 600 }, (_, n) => 80 * n))).toBe(120); // twice a burst in less than the window
    expect(endOf(Array.from({ length: 600 }, (_, n) => 100 * n))).toBeUndefined();
  });

  it('run out by number in a flood', () => {
    expect(endOf(at(0, 1_000))).toBe(120);
    expect(endOf(at(0, 1_000), { strikes: 1 })).toBe(0);
  });

  it('are forgotten after the window', () => {
    const burst = 1;
    expect(endOf([0, 5_000, 9_999], { burst })).toBe(2);
    expect(endOf([0, 5_000, 10_000], { burst })).toBeUndefined();
    expect(endOf([0, 5_000, 10_000, 14_999], { burst })).toBe(3);
  });
});

describe('KeyedRate', () => {
  it('remembers who is busy and forgets who is quiet', () => {
    const rate = new KeyedRate({ perSecond: 0.001, burst: 2 }, systemClock, 100);
    expect([rate.take('busy'), rate.take('busy')]).toEqual([0, 0]);
    expect(rate.take('busy')).toBeGreaterThan(900_000);
    for (let n = 0; n < 99; n++) rate.take(`key ${n}`);
    expect(rate.take('busy')).toBeGreaterThan(0);

    const quick = new KeyedRate({ perSecond: 1_000_000 }, systemClock, 100);
    for (let n = 0; n < 10_000; n++) quick.take(`key ${n}`);
    expect(quick.size).toBeLessThanOrEqual(100);
  });

  it('R12: never remembers more keys than it may, however busy they are', () => {
    const rate = new KeyedRate({ perSecond: 0.001, burst: 1 }, systemClock, 100);
    for (let n = 0; n < 10_000; n++) rate.take(`key ${n}`);
    expect(rate.size).toBeLessThanOrEqual(100);
  });
});
