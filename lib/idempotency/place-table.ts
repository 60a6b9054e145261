/** Two numbers: a hash, and a place with it. */
const NUMBERS = 2;
const LEAST_BITS = 8;

/**
 * Finds places by hashes, of which several places may have the same one. A hash table with open addressing in one typed
 * array: the garbage collector has nothing to look at, however many places there are.
 */
export class PlaceTable {
  #bits = LEAST_BITS;
  #cells = new Int32Array(NUMBERS << LEAST_BITS);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /**
   * @param hash 32 bits; its upper bits should differ most
   * @param after the cell that was found before, to find the next one
   * @returns the cell of a place with this hash; -1 if there is none
   */
  find(hash: number, after = -1): number {
    for (let cell = after < 0 ? this.#home(hash) : this.#next(after); ; cell = this.#next(cell)) {
      if (this.placeAt(cell) === 0) return -1;
      if (this.#cells[NUMBERS * cell] === hash) return cell;
    }
  }

  placeAt(cell: number): number {
    return this.#cells[NUMBERS * cell + 1] as number;
  }

  /** @param place not 0, which marks a free cell */
  add(hash: number, place: number): void {
    if (2 * ++this.#size > 1 << this.#bits) this.#resize(this.#bits + 1);
    this.#put(hash, place);
  }

  replace(hash: number, place: number, by: number): void {
    this.#cells[NUMBERS * this.#cellOf(hash, place) + 1] = by;
  }

  /** Moves those that come after it closer to where they belong, so no cell has to be marked as deleted. */
  delete(hash: number, place: number): void {
    let free = this.#cellOf(hash, place);
    const mask = (1 << this.#bits) - 1;
    for (let cell = this.#next(free); this.placeAt(cell) !== 0; cell = this.#next(cell)) {
      const moved = this.#cells[NUMBERS * cell] as number;
      if (((cell - this.#home(moved)) & mask) < ((cell - free) & mask)) continue; // it belongs behind the free cell
      this.#set(free, moved, this.placeAt(cell));
      free = cell;
    }
    this.#set(free, 0, 0);
    if (--this.#size << 3 < 1 << this.#bits && this.#bits > LEAST_BITS) this.#resize(this.#bits - 1);
  }

  #cellOf(hash: number, place: number): number {
    let cell = this.#home(hash);
    while (this.placeAt(cell) !== place) cell = this.#next(cell);
    return cell;
  }

  #home(hash: number): number {
    return hash >>> (32 - this.#bits);
  }

  #next(cell: number): number {
    return (cell + 1) & ((1 << this.#bits) - 1);
  }

  #set(cell: number, hash: number, place: number): void {
    this.#cells[NUMBERS * cell] = hash;
    this.#cells[NUMBERS * cell + 1] = place;
  }

  #put(hash: number, place: number): void {
    let cell = this.#home(hash);
    while (this.placeAt(cell) !== 0) cell = this.#next(cell);
    this.#set(cell, hash, place);
  }

  #resize(bits: number): void {
    const before = this.#cells;
    this.#bits = bits;
    this.#cells = new Int32Array(NUMBERS << bits);
    for (let at = 0; at < before.length; at += NUMBERS)
      if (before[at + 1] !== 0) this.#put(before[at] as number, before[at + 1] as number);
  }
}
