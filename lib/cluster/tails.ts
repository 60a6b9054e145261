import { isObject, isText, JunkError, readVersion } from './bus-input.js';
import type { Tail } from './outgoing-sequences.js';

/**
 * For nodes only: the last numbers of channels that fell silent. Without them, nobody would notice that the last
 * messages of a channel are missing.
 */
export const TAILS = '$tails';

/** @param head the beginning of all channels */
export function writeTails(origin: string, head: string, tails: readonly Tail[]): object {
  const told = tails.map(({ channel, last, count, withinMs }) => [channel.slice(head.length), last, count, withinMs]);
  return { origin, tails: told };
}

/** @throws {JunkError} */
export function readTails(message: unknown, head: string): { origin: string; tails: Tail[] } {
  const { origin, tails } = isObject(message) ? message : {};
  if (!isText(origin) || !Array.isArray(tails)) throw new JunkError('An announcement of last numbers is malformed.');
  return { origin, tails: tails.map((tail) => readTail(tail, origin, head)) };
}

function readTail(tail: unknown, origin: string, head: string): Tail {
  const [name, ...numbers] = Array.isArray(tail) ? (tail as unknown[]) : [];
  const [last = Number.NaN, count = Number.NaN, withinMs = Number.NaN] = numbers.map(readVersion);
  if (!isText(name) || Number.isNaN(last + count + withinMs) || count > last)
    throw new JunkError(`Node ${origin} announced an invalid last number.`);
  return { channel: head + name, last, count, withinMs };
}
