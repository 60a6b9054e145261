import { describe, expect, it } from '@jest/globals';
import { p99OfStall, verdictOn } from './self-test.js';

describe('the load generator of the benchmark', () => {
  it('counts every frame of a right server, in order', async () => {
    expect(await verdictOn('none')).toEqual({ fault: 'none', surplus: 0, disordered: 0 });
  });

  it('sees a frame that one of twenty members never gets', async () => {
    expect(await verdictOn('drop')).toMatchObject({ surplus: -1, disordered: 1 });
  });

  it('sees a frame that comes twice', async () => {
    expect(await verdictOn('repeat')).toMatchObject({ surplus: 1, disordered: 1 });
  });

  it('sees two frames that changed places', async () => {
    const { surplus, disordered } = await verdictOn('swap');
    expect(surplus).toBe(0);
    expect(disordered).toBeGreaterThan(0);
  });

  it('sees a server that stands still for 200 ms: messages are late from when they were due', async () => {
    expect(await p99OfStall('stall')).toBeGreaterThan(150);
  });
});
