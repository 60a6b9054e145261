/** Two numbers: a hash, and a place with it. */
const NUMBERS = 2;
const LEAST_BITS = 8;

/**
 * Finds places by hashes, of which several places may have the same one. A hash table with open addressing in one typed
 * array: the garbage collector has nothing to look at, however many places there are. A place may end without a word: its cell
 * stays taken until the table is cleared.
 */
export class PlaceTable {
  #bits = LEAST_BITS;
  #cells = new Int32Array(NUMBERS << LEAST_BITS);
  #taken = 0;

  /**
   * @param hash 32 bits; its upper bits should differ most
   * @param after the cell that was found before, to find the next one
   * @returns the cell of a place with this hash, which may have ended; -1 if there is none
   */
  find(hash: number, after = -1): number {
    const cells = this.#cells;
    for (let cell = after < 0 ? this.#home(hash) : this.#next(after); ; cell = this.#next(cell)) {
      if (cells[NUMBERS * cell + 1] === 0) return -1;
      if (cells[NUMBERS * cell] === hash) return cell;
    }
  }

  placeAt(cell: number): number {
    return this.#cells[NUMBERS * cell + 1] as number;
  }

  /** Whether it finds things fast, and ends to look for what isn't there, with so many more. */
  hasRoomFor(more: number): boolean {
    return 4 * (this.#taken + more) <= 3 << this.#bits;
  }

  /** @param place not 0 */
  add(hash: number, place: number): void {
    const cells = this.#cells;
    let cell = this.#home(hash);
    while (cells[NUMBERS * cell + 1] !== 0) cell = this.#next(cell);
    cells[NUMBERS * cell] = hash;
    cells[NUMBERS * cell + 1] = place;
    this.#taken++;
  }

  /** Whether it takes much more memory than so many places need. */
  isMuchFor(size: number): boolean {
    return size << 4 < 1 << this.#bits && this.#bits > LEAST_BITS;
  }

  /** Empties it. @param size how many places it shall hold with ease */
  clear(size: number): void {
    this.#bits = LEAST_BITS;
    while (8 * size > 3 << this.#bits) this.#bits++;
    this.#cells = new Int32Array(NUMBERS << this.#bits);
    this.#taken = 0;
  }

  #home(hash: number): number {
    return hash >>> (32 - this.#bits);
  }

  #next(cell: number): number {
    return (cell + 1) & ((1 << this.#bits) - 1);
  }
}
