/** A key that has ended. */
export interface Ended {
  readonly owner: { readonly id: number };
  readonly hash: number;
  readonly windowMs: number;
  readonly asker: { readonly route: string; readonly key: string };
}

const PAGE_BYTES = 65_536;
export const PAGE_BITS = 8;
/** Entries of a page. */
export const PAGE_SIZE = 1 << PAGE_BITS;
/** Texts become bytes together: so many characters, or those of so many entries. */
const FRESH_CHARS = 8_192;
const FRESH_ENTRIES = 32;

/**
 * What is noted of an entry: where its bytes begin and end, how many characters they are, and how many of these are before its
 * reply; negative for an entry without one. The owner is 0 once the entry isn't for anybody any more.
 */
const START = 0;
const END = 1;
const CHARS = 2;
const HEAD_CHARS = 3;
const HASH = 4;
const OWNER = 5;
const NUMBERS = 6;
/** What the numbers of an entry take. */
const NUMBERS_BYTES = 4 * NUMBERS + 8;

/** Between a route and a key. No route has it. */
const SEPARATOR = '\n';

/** Some entries of a log, one after the other. */
export class ReplyPage {
  /** Owned by the log. */
  number = 0;
  later: ReplyPage | undefined;
  entries = 0;
  /** How many of its entries are forgotten, from the oldest on. */
  forgotten = 0;
  /** The route, the key and the reply of one entry after the other: ASCII as it is, and other text as UTF-16. */
  readonly #bytes: Buffer;
  #usedBytes = 0;
  /** How many of its entries are bytes. */
  #written = 0;
  /** The text of the others. */
  #fresh = '';
  readonly #numbers = new Int32Array(NUMBERS * PAGE_SIZE);
  readonly #untils = new Float64Array(PAGE_SIZE);

  /**
   * @param tally counts the bytes of the entries, and what full pages have left
   * @param chars for a text of so many characters at least
   */
  constructor(
    private readonly tally: { bytes: number },
    chars: number,
  ) {
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(2 * chars, PAGE_BYTES));
  }

  /** Whether a page of the usual size has room for so many characters. */
  static isUsualFor(chars: number): boolean {
    return 2 * chars <= PAGE_BYTES;
  }

  get isUsual(): boolean {
    return this.#bytes.length === PAGE_BYTES;
  }

  /** Empties a page whose entries are all forgotten. */
  clear(): this {
    this.entries = this.forgotten = this.#usedBytes = this.#written = 0;
    return this;
  }

  /** @returns false if there is no room for an entry of so many characters */
  makeRoom(chars: number): boolean {
    const isMuch = this.#fresh.length >= FRESH_CHARS || this.entries - this.#written >= FRESH_ENTRIES;
    if (isMuch || !this.#hasRoom(chars)) this.#write();
    return this.entries < PAGE_SIZE && this.#hasRoom(chars);
  }

  /** Call `makeRoom()` before. @param reply undefined: nobody knows how it ended @returns its index */
  append({ owner, hash, asker: { route, key } }: Ended, until: number, reply: string | undefined): number {
    const head = route + SEPARATOR + key;
    const text = reply === undefined ? head : head + reply;
    this.#fresh += text;
    const index = this.entries++;
    const at = NUMBERS * index;
    const numbers = this.#numbers;
    numbers[at + CHARS] = text.length;
    numbers[at + HEAD_CHARS] = reply === undefined ? -head.length : head.length;
    numbers[at + HASH] = hash;
    numbers[at + OWNER] = owner.id;
    this.#untils[index] = until;
    this.tally.bytes += text.length;
    return index;
  }

  /** No further entry comes. */
  close(): void {
    this.#write();
    this.tally.bytes += this.#leftBytes;
  }

  has(index: number): boolean {
    return index >= this.forgotten && index < this.entries;
  }

  isFor(index: number, owner: number, route: string, key: string): boolean {
    if (this.ownerAt(index) !== owner) return false;
    const head = route + SEPARATOR + key;
    return Math.abs(this.#number(index, HEAD_CHARS)) === head.length && this.#textAt(index).startsWith(head);
  }

  hashAt(index: number): number {
    return this.#number(index, HASH);
  }

  untilAt(index: number): number {
    return this.#untils[index] as number;
  }

  replyAt(index: number): string | undefined {
    const head = this.#number(index, HEAD_CHARS);
    return head < 0 ? undefined : this.#textAt(index).slice(head);
  }

  ownerAt(index: number): number {
    return this.#number(index, OWNER);
  }

  giveUp(index: number): void {
    this.#numbers[NUMBERS * index + OWNER] = 0;
  }

  /** @returns the owner */
  forgetOldest(): number {
    const index = this.forgotten++;
    if (index >= this.#written) this.#write();
    this.tally.bytes -= this.#number(index, END) - this.#number(index, START);
    if (this.later && this.forgotten === this.entries) this.tally.bytes -= this.#leftBytes;
    return this.ownerAt(index);
  }

  /** What no further entry can use. */
  get #leftBytes(): number {
    return this.#bytes.length - this.#usedBytes + (PAGE_SIZE - this.entries) * NUMBERS_BYTES;
  }

  /** Also if none of its fresh texts is ASCII. */
  #hasRoom(chars: number): boolean {
    return this.#usedBytes + 2 * (this.#fresh.length + chars) <= this.#bytes.length;
  }

  #number(index: number, which: number): number {
    return this.#numbers[NUMBERS * index + which] as number;
  }

  #textAt(index: number): string {
    if (index >= this.#written) this.#write();
    const [start, end] = [this.#number(index, START), this.#number(index, END)];
    const isAscii = end - start === this.#number(index, CHARS);
    return this.#bytes.toString(isAscii ? 'latin1' : 'utf16le', start, end);
  }

  /** Makes bytes of the fresh texts: of all at once if they are ASCII. */
  #write(): void {
    const fresh = this.#fresh;
    if (fresh === '') return;
    const began = this.#usedBytes;
    const isAscii = this.#bytes.write(fresh, began) === fresh.length;
    let from = 0;
    for (let index = this.#written; index < this.entries; index++) {
      const chars = this.#number(index, CHARS);
      this.#numbers[NUMBERS * index + START] = this.#usedBytes;
      this.#usedBytes += isAscii ? chars : this.#writeText(fresh.slice(from, from + chars));
      this.#numbers[NUMBERS * index + END] = this.#usedBytes;
      from += chars;
    }
    this.tally.bytes += this.#usedBytes - began - fresh.length;
    this.#written = this.entries;
    this.#fresh = '';
  }

  /** @returns its bytes */
  #writeText(text: string): number {
    const size = this.#bytes.write(text, this.#usedBytes);
    // Not ASCII: UTF-8 would lose lone surrogates, and two keys could become the same.
    return size === text.length ? size : this.#bytes.write(text, this.#usedBytes, 'utf16le');
  }
}
