/**
 * Does something that goes on through several turns of the event loop, and looks at a count after each of them.
 * @returns by how much the count grew or shrank in one turn, at most
 */
export async function mostInATurn(count: () => number, work: () => Promise<unknown>): Promise<number> {
  let most = 0;
  let isDone = false;
  let before = count();
  const look = (): void => {
    const now = count();
    most = Math.max(most, Math.abs(now - before));
    before = now;
    if (!isDone) setImmediate(look);
  };
  setImmediate(look);
  await work().finally(() => (isDone = true));
  look();
  return most;
}
