import type { Check } from '../protocol/check.js';
import { isText } from './checks.js';

/** Which rooms a rule is for. */
export const MATCH: Check = {
  holds: (value) => isText(value) || (value instanceof RegExp && isWhole(value)),
  must: "a text such as 'chat:*', or a RegExp that begins with ^ and ends with $, without the flags g and y",
};

export function matcherOf(match: string | RegExp): (room: string) => boolean {
  if (match instanceof RegExp) return (room) => match.test(room);
  if (!match.includes('*')) return (room) => room === match;
  const parts = match.split('*').map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`));
  const form = new RegExp(`^${parts.join('.*')}$`, 'su');
  return (room) => form.test(room);
}

const isWhole = ({ source, flags }: RegExp): boolean =>
  source.startsWith('^') && source.endsWith('$') && !/[gy]/.test(flags);
