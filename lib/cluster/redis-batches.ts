import type { ChainableCommander } from 'ioredis';

/** How many arguments one command has at most. */
export const BATCH = 1_000;

/** A call can't have any number of arguments. */
export function* batchesOf(items: readonly string[]): Iterable<string[]> {
  for (let start = 0; start < items.length; start += BATCH) yield items.slice(start, start + BATCH);
}

export function* pairsOf(list: readonly Buffer[]): Iterable<[Buffer, Buffer]> {
  for (let index = 0; index < list.length; index += 2) yield [list[index] as Buffer, list[index + 1] as Buffer];
}

/** A transaction resolves even if one of its commands failed. */
export async function run(transaction: ChainableCommander): Promise<unknown[]> {
  const results = (await transaction.exec()) ?? [];
  for (const [error] of results) if (error) throw error;
  return results.map(([, result]) => result);
}
