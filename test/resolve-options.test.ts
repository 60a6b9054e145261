import { describe, expect, it } from '@jest/globals';
import { InvalidOptionsError, type WebSocketOptions } from '../lib/index.js';
import { OPTION_NAMES, resolveOptions } from '../lib/resolve-options.js';

/** `{ a: { b: value } }` for `a.b`. */
const optionsOf = (name: string, value: unknown): WebSocketOptions =>
  name.split('.').reduceRight<unknown>((inner, field) => ({ [field]: inner }), value) as WebSocketOptions;

const isDuration = (name: string): boolean => /(Ms|Time)$/.test(name);

describe('options', () => {
  it.each(OPTION_NAMES.filter((name) => isDuration(name) && name !== 'delivery.flushGapMs'))(
    'of time are no longer than a timer can run, past which it fires at once: %s',
    (name) => {
      const flaws = (value: unknown): string =>
        flawsOf({ auth: { authenticate: () => null }, ...optionsOf(name, value) });
      expect(flaws(2 ** 31)).toContain(`"${name}" must be`);
      expect(flaws(2 ** 31)).toContain('2147483647');
      expect(flaws(2 ** 31 - 1)).not.toContain(`"${name}" must be`);
      for (const value of [-1, 0.5, Infinity, Number.NaN, '5']) expect(flaws(value)).toContain(`"${name}" must be`);
    },
  );

  it.each<[string, WebSocketOptions, string]>([
    [
      'closes that are spread beyond the end',
      { drain: { spreadMs: 3_000, terminateAfterMs: 500 } },
      '"drain.spreadMs" (3000) is longer than "drain.terminateAfterMs" (500)',
    ],
    [
      'closes that are spread beyond the usual end',
      { drain: { spreadMs: 10_001 } },
      '"drain.terminateAfterMs" (10000)',
    ],
    [
      'volatile messages that are dropped when their client is closed',
      { backpressure: { volatileBytes: 2_000, maxBufferedBytes: 1_999 } },
      '"backpressure.volatileBytes" (2000) is above "backpressure.maxBufferedBytes" (1999)',
    ],
    ['the same with the usual budget', { backpressure: { volatileBytes: 1_048_577 } }, '(1048576)'],
    ['a name that every object has', { constructor: 1 } as never, '"constructor" is not an option'],
    ['one within a section', { drain: { toString: 1 } as never }, '"drain.toString" is not an option'],
    [
      'the name of the prototype',
      JSON.parse('{"__proto__":{"x":1},"auth":{"__proto__":1}}') as never,
      '"__proto__" is not an option',
    ],
  ])('that cannot work are refused with what to write: %s', (_, options, flaw) => {
    expect(flawsOf(options)).toContain(flaw);
  });

  it('fit each other where only one of two is given', () => {
    expect(resolveOptions({ drain: { terminateAfterMs: 2_000 } }).drain.spreadMs).toBe(1_000);
    expect(resolveOptions({ drain: { terminateAfterMs: 60_000 } }).drain.spreadMs).toBe(5_000);
    expect(resolveOptions({ drain: { spreadMs: undefined, terminateAfterMs: 0 } }).drain.spreadMs).toBe(0);
    expect(resolveOptions({ backpressure: { maxBufferedBytes: 1_000 } }).backpressure.volatileBytes).toBe(250);
    expect(resolveOptions({ backpressure: { maxBufferedBytes: 1e9 } }).backpressure.volatileBytes).toBe(262_144);
    expect(resolveOptions({ drain: { spreadMs: 500, terminateAfterMs: 500 } }).drain.spreadMs).toBe(500);
  });
});

function flawsOf(options: WebSocketOptions): string {
  try {
    resolveOptions(options);
    return '';
  } catch (error) {
    if (error instanceof InvalidOptionsError) return error.message;
    throw error;
  }
}
