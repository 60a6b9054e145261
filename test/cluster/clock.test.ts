import { describe, expect, it } from '@jest/globals';
import { IncomingSequences } from '../../lib/cluster/sequences.js';

describe('messages that come late', () => {
  it('are stale when they were held up, whatever the clocks say', () => {
    const publisher = new IncomingSequences().of('node');
    const skew = -3_600_000;
    expect(publisher.isStale(1_000 + skew, 1_002)).toBe(false);
    expect(publisher.isStale(2_000 + skew, 20_000)).toBe(true);
    expect(publisher.isStale(19_999 + skew, 20_001)).toBe(false);
  });

  it('are taken again once a clock that was set has been late for ten seconds', () => {
    const publisher = new IncomingSequences().of('node');
    expect(publisher.isStale(0, 5)).toBe(false);
    const results = [];
    for (let now = 1_000; now <= 15_000; now += 1_000) results.push(publisher.isStale(now - 60_000, now + 5));
    expect(results.indexOf(false)).toBe(10);
    expect(results.slice(10)).toEqual([false, false, false, false, false]);
  });
});
