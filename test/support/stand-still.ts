/** Holds up this thread: no timer runs, and nothing is read. */
export function standStill(forMs: number): void {
  const end = performance.now() + forMs;
  while (performance.now() < end);
}
