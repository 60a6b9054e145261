/** A value that components follow. */
export class Followed<T> {
  #listeners = new Set<() => void>();

  constructor(private value: T) {}

  readonly get = (): T => this.value;

  readonly subscribe = (changed: () => void): (() => void) => {
    this.#listeners.add(changed);
    return () => this.#listeners.delete(changed);
  };

  set(value: T): void {
    this.value = value;
    for (const changed of this.#listeners) changed();
  }
}

/** What mounted components share. It ends a moment after the last of them: StrictMode and a change of pages mount again at once. */
export class Shared {
  #users = 0;
  #end: (() => void) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param begin called for the first user @returns a function that ends this use */
  use(begin: () => () => void): () => void {
    clearTimeout(this.#timer);
    this.#users++;
    this.#end ??= begin();
    return () => {
      if (--this.#users > 0) return;
      this.#timer = setTimeout(() => {
        this.#end?.();
        this.#end = undefined;
      });
    };
  }
}
