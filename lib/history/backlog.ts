/** How many items wait. */
const MAX_ITEMS = 1_000;
/** As strings take them: up to two bytes a character. */
const MAX_BYTES = 1_048_576;

/** What a reader can't use yet. What is beyond the limits is left out: the log has it. */
export class Backlog<T> {
  readonly #items = new Map<number, { item: T; bytes: number }>();
  #bytes = 0;

  get size(): number {
    return this.#items.size;
  }

  /** @param length of its text. The first item always fits */
  put(key: number, item: T, length: number): void {
    const bytes = 2 * length;
    const isFull = this.#items.size >= MAX_ITEMS || this.#bytes + bytes > MAX_BYTES;
    if (this.#items.has(key) || (isFull && this.#items.size > 0)) return;
    this.#items.set(key, { item, bytes });
    this.#bytes += bytes;
  }

  take(key: number): T | undefined {
    const found = this.#items.get(key);
    if (!found) return undefined;
    this.#items.delete(key);
    this.#bytes -= found.bytes;
    return found.item;
  }

  /** In the order in which they came. */
  takeAll(): T[] {
    const all = [...this.#items.values()].map(({ item }) => item);
    this.clear();
    return all;
  }

  clear(): void {
    this.#items.clear();
    this.#bytes = 0;
  }
}
