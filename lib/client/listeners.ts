/** Functions by name, in the order they were added. One that was added twice is called twice. */
export class Listeners<F> {
  readonly #byName = new Map<string, readonly { run: F }[]>();

  /** @returns a function that removes this one */
  add(name: string, run: F): () => void {
    const entry = { run };
    this.#byName.set(name, [...this.#entriesOf(name), entry]);
    return () => {
      const rest = this.#entriesOf(name).filter((other) => other !== entry);
      if (rest.length > 0) this.#byName.set(name, rest);
      else this.#byName.delete(name);
    };
  }

  of(name: string): F[] {
    return this.#entriesOf(name).map(({ run }) => run);
  }

  #entriesOf(name: string): readonly { run: F }[] {
    return this.#byName.get(name) ?? [];
  }
}

/** Async for its catch. The listener itself is called at once. */
export async function call(listener: () => unknown): Promise<void> {
  await listener();
}
