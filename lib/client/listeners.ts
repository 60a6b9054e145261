interface Entry<F> {
  readonly run: F;
}

/** Functions by name, in the order they were added. One that was added twice is called twice. */
export class Listeners<F> {
  readonly #byName = new Map<string, Set<Entry<F>>>();

  /** @returns a function that removes this one */
  add(name: string, run: F): () => void {
    const entry = { run };
    const entries = this.#byName.get(name) ?? new Set();
    this.#byName.set(name, entries.add(entry));
    return () => {
      if (entries.delete(entry) && entries.size === 0) this.#byName.delete(name);
    };
  }

  of(name: string): F[] {
    return Array.from(this.#byName.get(name) ?? [], ({ run }) => run);
  }
}

/**
 * Calls each at once.
 * @param report gets what one throws, or rejects with
 * @returns whether there was one
 */
export function callAll<A extends unknown[]>(
  listeners: readonly ((...args: A) => unknown)[],
  report: (error: unknown) => void,
  ...args: A
): boolean {
  // Async for its catch.
  for (const listener of listeners) (async () => listener(...args))().catch(report);
  return listeners.length > 0;
}
