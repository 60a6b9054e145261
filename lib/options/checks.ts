import { type Check, MAX_TIMER_MS, orFalse } from '../protocol/check.js';
import type { Rate } from '../limits/rate.js';

const isWhole = (value: unknown, least: number): value is number =>
  Number.isInteger(value) && (value as number) >= least;
export const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
export const isTextList = (value: unknown): value is string[] => Array.isArray(value) && value.every(isText);
export const isFunction = (value: unknown): boolean => typeof value === 'function';
export const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;
const isAbove0 = (value: unknown): boolean => Number.isFinite(value) && (value as number) > 0;

export const OBJECT: Check = { holds: isObject, must: 'an object' };
export const FALSE_OR_OBJECT: Check = orFalse(OBJECT);
export const CALLBACK: Check = { holds: isFunction, must: 'a function' };
export const TEXTS: Check = { holds: isTextList, must: 'a list of texts' };

export const COUNT: Check = { holds: (value) => isWhole(value, 1), must: 'a whole number above 0' };
export const COUNT_OR_0: Check = { holds: (value) => isWhole(value, 0), must: 'a whole number' };
export const COUNT_OR_FALSE: Check = orFalse(COUNT);
export const ABOVE_0: Check = { holds: isAbove0, must: 'a number above 0' };

export const BYTES: Check = { holds: COUNT.holds, must: 'a whole number of bytes above 0', unit: 'bytes' };
export const BYTES_OR_0: Check = { holds: COUNT_OR_0.holds, must: 'a whole number of bytes', unit: 'bytes' };
export const BYTES_OR_FALSE: Check = orFalse(BYTES);

export const TIME: Check = timeFrom(1, `from 1 to ${MAX_TIMER_MS}`);
export const TIME_OR_0: Check = timeFrom(0, `up to ${MAX_TIMER_MS}`);
export const TIME_OR_FALSE: Check = orFalse(TIME);

export const RATE: Check = { holds: isRate, must: 'false or { perSecond, burst? } with numbers above 0' };

export const oneOf = (...choices: readonly [string, ...string[]]): Check => ({
  holds: (value) => choices.includes(value as string),
  must: `${choices
    .slice(0, -1)
    .map((choice) => `'${choice}'`)
    .join(', ')} or '${choices.at(-1)}'`,
});

/** Things that are classes or instances of classes. */
export const classes = (what: string): Check => ({
  holds: (value) => Array.isArray(value) && value.every((one) => isFunction(one) || isObject(one)),
  must: `a list of ${what}: classes or instances`,
});

/** A timer that is to wait longer than it can fires at once. */
function timeFrom(least: number, range: string): Check {
  return {
    holds: (value) => isWhole(value, least) && value <= MAX_TIMER_MS,
    must: `a whole number of milliseconds ${range}`,
    unit: 'ms',
  };
}

function isRate(value: unknown): boolean {
  if (value === false) return true;
  if (!isObject(value)) return false;
  const { perSecond, burst, ...rest } = value as Partial<Rate>;
  return isAbove0(perSecond) && (burst === undefined || isWhole(burst, 1)) && Object.keys(rest).length === 0;
}
