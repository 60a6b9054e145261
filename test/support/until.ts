import { PATIENCE_MS, Stopwatch } from './stopwatch.js';

/**
 * Waits until something is true that no event tells of. It looks every 5 ms, and after a second every 20 ms, as the machine has
 * other tests to run.
 * @param promisedMs how soon it has to be, where the product promises that
 */
export async function until(isTrue: () => boolean | Promise<boolean>, promisedMs = PATIENCE_MS): Promise<void> {
  const watch = new Stopwatch();
  for (let looks = 1; !(await isTrue()); looks++) {
    if (watch.isOver(promisedMs)) throw new Error(`Still not true after ${promisedMs} ms: ${isTrue.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, looks < 200 ? 5 : 20));
  }
}
