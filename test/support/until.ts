/** Waits until something is true that no event tells of; fails after `waitMs`. */
export async function until(isTrue: () => boolean | Promise<boolean>, waitMs = 5_000): Promise<void> {
  const deadline = Date.now() + waitMs;
  while (!(await isTrue())) {
    if (Date.now() > deadline) throw new Error(`Still not true after ${waitMs} ms: ${isTrue.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
