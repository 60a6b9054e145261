/** How far a count has come. */
export interface Step {
  percent: number;
  found: number;
}

const STEPS = 20;
/** Odd numbers sieved at once: they fit a processor's cache. */
const SEGMENT = 262_144;

/** Counts the primes below `limit`, and says after each twentieth how many it has found. */
export function* countPrimes(limit: number): Generator<Step> {
  const small = primesBelow(Math.floor(Math.sqrt(limit)) + 1);
  let found = limit > 2 ? 1 : 0; // 2 is the only even one
  let next = 3;
  for (let step = 1; step <= STEPS; step++) {
    const end = Math.floor((limit * step) / STEPS);
    for (; next < end; next += 2 * SEGMENT) {
      found += countOdd(next, Math.min(next + 2 * SEGMENT, end), small);
    }
    next = Math.max(3, end | 1);
    yield { percent: Math.round((100 * step) / STEPS), found };
  }
}

/** The primes among the odd numbers from `from`, which is odd, to below `to`. */
function countOdd(from: number, to: number, small: number[]): number {
  const isComposite = new Uint8Array(Math.ceil((to - from) / 2));
  for (const prime of small) {
    if (prime * prime >= to) break;
    let multiple = Math.max(prime * prime, Math.ceil(from / prime) * prime);
    if (multiple % 2 === 0) multiple += prime;
    for (let index = (multiple - from) / 2; index < isComposite.length; index += prime) isComposite[index] = 1;
  }
  let count = 0;
  for (const flag of isComposite) count += 1 - flag;
  return count;
}

/** The odd primes below `limit`. */
function primesBelow(limit: number): number[] {
  const primes: number[] = [];
  for (let number = 3; number < limit; number += 2) {
    const divisor = primes.find((prime) => prime * prime > number || number % prime === 0);
    if (divisor === undefined || divisor * divisor > number) primes.push(number);
  }
  return primes;
}
