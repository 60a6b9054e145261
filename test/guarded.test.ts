import { describe, expect, it } from '@jest/globals';
import { guarded } from '../lib/guarded.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Reading any property of it throws, `then` too. */
function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

describe('a guarded callback', () => {
  const heard: [string, string][] = [];
  const failed = (error: Error, place: string): void => void heard.push([error.message, place]);

  it('passes its arguments on and returns nothing', () => {
    const seen: unknown[] = [];
    const callback = guarded('here', failed, (one: number, two: string) => seen.push(one, two));
    expect(callback(1, 'b')).toBeUndefined();
    expect(seen).toEqual([1, 'b']);
  });

  it.each<[string, () => unknown, string]>([
    ['throws', () => JSON.parse('{'), 'JSON'],
    ['rejects', () => Promise.reject(new Error('late')), 'late'],
    ['returns an object that can not be looked into', () => revoked(), 'revoked'],
    [
      'throws what is no error',
      () => {
        throw null;
      },
      'null',
    ],
    [
      'throws a symbol',
      () => {
        throw Symbol('s');
      },
      'Symbol(s)',
    ],
  ])('reports what its work does when it %s, and never throws', async (_, work, text) => {
    heard.length = 0;
    guarded('the bus', failed, work)();
    await turn();
    expect(heard).toEqual([[expect.stringContaining(text), 'the bus']]);
  });

  it('survives a report that fails, and leaves no rejection behind', async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    process.on('unhandledRejection', note);
    try {
      const broken = (): never => {
        throw new Error('no report');
      };
      expect(guarded('here', broken, broken)).not.toThrow();
      guarded('here', broken, () => Promise.reject(new Error('late')))();
      await turn();
      await turn();
      expect(unhandled).toEqual([]);
    } finally {
      process.off('unhandledRejection', note);
    }
  });
});
