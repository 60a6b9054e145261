import { describe, expect, it } from '@jest/globals';
import { countPrimes } from '../../sample/05-queue/primes.js';

const isPrime = (number: number): boolean => {
  for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) return false;
  return number >= 2;
};

describe('counting primes in steps', () => {
  it('counts as many as a naive count, for every limit up to 600', () => {
    let expected = 0;
    for (let limit = 2; limit <= 600; limit++) {
      if (isPrime(limit - 1)) expected++;
      expect([limit, [...countPrimes(limit)].at(-1)?.found]).toEqual([limit, expected]);
    }
  });

  it('counts across the borders of steps and segments', () => {
    expect([...countPrimes(20_000_000)].at(-1)).toEqual({ percent: 100, found: 1_270_607 });
  });

  it('says how far it is twenty times, and never less than before', () => {
    const steps = [...countPrimes(10_000)];
    expect(steps.map(({ percent }) => percent)).toEqual(Array.from({ length: 20 }, (_, index) => 5 * (index + 1)));
    expect(steps.map(({ found }) => found)).toEqual(steps.map(({ found }) => found).toSorted((a, b) => a - b));
    expect(steps.at(-1)?.found).toBe(1_229);
  });
});
