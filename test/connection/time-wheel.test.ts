import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { TimeWheel } from '../../lib/connection/time-wheel.js';

const STEP_MS = 10;
const REACH_MS = 200;

type Action = { kind: 'add'; item: number; inMs: number } | { kind: 'wait'; ms: number };

const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ kind: fc.constant('add' as const), item: fc.nat(4), inMs: fc.integer({ min: -50, max: REACH_MS }) }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.oneof(fc.nat(30), fc.nat(1_000)) }),
);

describe('a time wheel', () => {
  it('hands out each item once, not before its time and at most a step after it', () => {
    fc.assert(
      fc.property(fc.nat(1_000), fc.array(action, { maxLength: 40 }), (start, actions) => {
        let now = start;
        const wheel = new TimeWheel<{ n: number; tick: number }>(now, STEP_MS, REACH_MS);
        const items = Array.from({ length: 5 }, (_, n) => ({ n, tick: 0 }));
        const dueAt = new Map<number, number>();
        for (const step of actions) {
          if (step.kind === 'add') {
            wheel.add(items[step.item] as { n: number; tick: number }, now + step.inMs);
            dueAt.set(step.item, Math.max(now, now + step.inMs));
            continue;
          }
          now += step.ms;
          const handedOut = wheel.due(now).map(({ n }) => n);
          expect(handedOut).toHaveLength(new Set(handedOut).size);
          for (const n of handedOut) expect(dueAt.get(n)).toBeLessThanOrEqual(now);
          for (const n of handedOut) dueAt.delete(n);
          for (const at of dueAt.values()) expect(at).toBeGreaterThan(now - STEP_MS);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('hands out an item that waits beyond its reach before its time', () => {
    const wheel = new TimeWheel<{ tick: number }>(0, STEP_MS, REACH_MS);
    const item = { tick: 0 };
    wheel.add(item, 100 * REACH_MS);
    expect(wheel.due(REACH_MS - STEP_MS)).toEqual([]);
    expect(wheel.due(2 * REACH_MS)).toEqual([item]);
    expect(wheel.due(200 * REACH_MS)).toEqual([]);
  });
});
