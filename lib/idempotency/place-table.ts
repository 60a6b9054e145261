/** Two numbers: a hash, and a place with it. */
const NUMBERS = 2;
const LEAST_BITS = 8;
/** The place of a cell that holds nothing any more. */
const GONE = -(2 ** 31);
/** New places that get their cells together. */
const MAX_NEW = 256;

type Each = (add: (hash: number, place: number) => void) => void;

/**
 * Finds places by hashes, of which several places may have the same one. A hash table with open addressing in one typed
 * array: the garbage collector has nothing to look at, however many places there are.
 *
 * A cell lies anywhere, so to reach it takes as long as the memory, and not the cache, takes to answer: up to 0.3 µs. New places
 * therefore get their cells together, for which a processor waits at once. And a place may end without a word: when three of four
 * cells are taken, the table is filled anew with the places that there are.
 */
export class PlaceTable {
  #bits = LEAST_BITS;
  #cells = new Int32Array(NUMBERS << LEAST_BITS);
  #taken = 0;
  readonly #new = new Int32Array(NUMBERS * MAX_NEW);
  #newSize = 0;

  /** @param each calls `add` with each place that there is */
  constructor(private readonly each: Each) {}

  /**
   * @param hash 32 bits; its upper bits should differ most
   * @param after the cell that was found before, to find the next one
   * @returns the cell of a place with this hash, which may have ended; -1 if there is none
   */
  find(hash: number, after = -1): number {
    this.#placeNew();
    const cells = this.#cells;
    for (let cell = after < 0 ? this.#home(hash) : this.#next(after); ; cell = this.#next(cell)) {
      if (cells[NUMBERS * cell + 1] === 0) return -1;
      if (cells[NUMBERS * cell] === hash) return cell;
    }
  }

  placeAt(cell: number): number {
    return this.#cells[NUMBERS * cell + 1] as number;
  }

  /** @param place not 0; known to `each` by now */
  add(hash: number, place: number): void {
    this.#new[NUMBERS * this.#newSize] = hash;
    this.#new[NUMBERS * this.#newSize + 1] = place;
    if (++this.#newSize === MAX_NEW) this.#placeNew();
  }

  replace(hash: number, place: number, by: number): void {
    for (let cell = this.find(hash); cell >= 0; cell = this.find(hash, cell)) {
      if (this.placeAt(cell) !== place) continue;
      this.#cells[NUMBERS * cell + 1] = by;
      return;
    }
  }

  /** Others are found behind its cell, so that stays taken. */
  delete(hash: number, place: number): void {
    this.replace(hash, place, GONE);
  }

  /** Frees memory if there are only so many places. */
  shrink(size: number): void {
    if (size << 4 < 1 << this.#bits && this.#bits > LEAST_BITS) this.refill();
  }

  /** Leaves out what has ended, and takes as many cells as the others need. */
  refill(): void {
    let size = 0;
    this.each(() => void size++);
    this.#bits = LEAST_BITS;
    while (8 * size > 3 << this.#bits) this.#bits++;
    this.#cells = new Int32Array(NUMBERS << this.#bits);
    this.#taken = this.#newSize = 0;
    this.each((hash, place) => this.#put(hash, place));
  }

  #placeNew(): void {
    if (this.#newSize === 0) return;
    if (4 * (this.#taken + this.#newSize) > 3 << this.#bits) return this.refill();
    for (let at = 0; at < NUMBERS * this.#newSize; at += NUMBERS)
      this.#put(this.#new[at] as number, this.#new[at + 1] as number);
    this.#newSize = 0;
  }

  #put(hash: number, place: number): void {
    const cells = this.#cells;
    let cell = this.#home(hash);
    while (cells[NUMBERS * cell + 1] !== 0) cell = this.#next(cell);
    cells[NUMBERS * cell] = hash;
    cells[NUMBERS * cell + 1] = place;
    this.#taken++;
  }

  #home(hash: number): number {
    return hash >>> (32 - this.#bits);
  }

  #next(cell: number): number {
    return (cell + 1) & ((1 << this.#bits) - 1);
  }
}
