const PAGE_BYTES = 65_536;
export const PAGE_BITS = 8;
/** Entries of a page. */
export const PAGE_SIZE = 1 << PAGE_BITS;
/** Bytes that stay free: with them, UTF-8 that doesn't fit is never as long as ASCII. */
const SPARE_BYTES = 4;

/**
 * What is noted of an entry: where its bytes end, how many characters they are, and how many of these are before its reply;
 * negative for an entry without one. The owner is 0 once the entry isn't for anybody any more. The tail is made of the end of
 * its key: most other keys have another.
 */
const END = 0;
const CHARS = 1;
const KEY_CHARS = 2;
const ROUTE = 3;
const OWNER = 4;
const TAIL = 5;
const NUMBERS = 6;
/** What the numbers of an entry take. */
const NUMBERS_BYTES = 4 * NUMBERS + 8;

/** Some entries of a log, one after the other. */
export class ReplyPage {
  /** Owned by the log. */
  number = 0;
  later: ReplyPage | undefined;
  entries = 0;
  /** How many of its entries are bytes, and have a time. */
  written = 0;
  /** How many of its entries are forgotten, from the oldest on. */
  forgotten = 0;
  /** Owned by the index: how many of its entries that knows, from the oldest on. */
  known = 0;
  /** The key and the reply of one entry after the other: ASCII as it is, and other text as UTF-16. */
  readonly #bytes: Buffer;
  #usedBytes = 0;
  /** Where the others end, if they are ASCII. */
  #end = 0;
  /** The keys and the replies of the others. One text: so many short ones in a list cost twice as much. */
  #text = '';
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
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(2 * chars + SPARE_BYTES, PAGE_BYTES));
  }

  /** Whether a page of the usual size has room for so many characters. */
  static isUsualFor(chars: number): boolean {
    return 2 * chars + SPARE_BYTES <= PAGE_BYTES;
  }

  get isUsual(): boolean {
    return this.#bytes.length === PAGE_BYTES;
  }

  /** The first entry that the index doesn't know. */
  get firstUnknown(): number {
    return Math.max(this.known, this.forgotten);
  }

  /** Empties a page whose entries are all forgotten. */
  clear(): this {
    this.entries = this.written = this.forgotten = this.known = this.#usedBytes = this.#end = 0;
    return this;
  }

  /** For one more entry of so many characters. Also if none of those that aren't bytes is ASCII. */
  hasRoomFor(chars: number): boolean {
    const fresh = this.#end - this.#usedBytes + chars;
    return this.entries < PAGE_SIZE && this.#usedBytes + 2 * fresh + SPARE_BYTES <= this.#bytes.length;
  }

  /** It becomes bytes with `write()`. @param owner its id @param route its number @param reply undefined: nobody knows how it ended */
  add(owner: number, route: number, key: string, reply: string | undefined): void {
    const chars = key.length + (reply?.length ?? 0);
    const at = NUMBERS * this.entries++;
    const numbers = this.#numbers;
    numbers[at + END] = this.#end += chars;
    numbers[at + CHARS] = chars;
    numbers[at + KEY_CHARS] = reply === undefined ? -key.length : key.length;
    numbers[at + ROUTE] = route;
    numbers[at + OWNER] = owner;
    numbers[at + TAIL] = tailOf(key);
    this.#text += reply === undefined ? key : key + reply;
  }

  /** Whether it has the entry, but not as bytes. */
  isFresh(owner: number, route: number, key: string): boolean {
    const tail = tailOf(key);
    for (let index = this.written; index < this.entries; index++) {
      if (!this.#isOf(index, owner, route, tail) || this.#keyChars(index) !== key.length) continue;
      if (this.#text.startsWith(key, this.#startOf(index) - this.#usedBytes)) return true;
    }
    return false;
  }

  /** Makes bytes of all texts together. @param until when they are over */
  write(until: number): void {
    const began = this.#usedBytes;
    const isAscii = this.#bytes.write(this.#text, began) === this.#end - began;
    if (!isAscii) this.#writeEach();
    this.#usedBytes = this.#end;
    this.#text = '';
    this.#untils.fill(until, this.written, this.entries);
    this.written = this.entries;
    this.tally.bytes += this.#usedBytes - began;
  }

  /** No further entry comes. */
  close(): void {
    this.tally.bytes += this.#leftBytes;
  }

  has(index: number): boolean {
    return index >= this.forgotten && index < this.written;
  }

  isFor(index: number, owner: number, route: number, key: string): boolean {
    return this.#isFor(index, owner, route, tailOf(key), key);
  }

  /** Looks at those that the index doesn't know. @returns the index of the entry; -1 if there is none */
  search(owner: number, route: number, key: string): number {
    const first = this.firstUnknown;
    const tail = tailOf(key);
    for (let index = this.written - 1; index >= first; index--)
      if (this.#isFor(index, owner, route, tail, key)) return index;
    return -1;
  }

  /** Begins with the owner, so that equal keys of different owners have different ones. @param factor odd */
  hashAt(index: number, factor: number): number {
    const [start, step] = [this.#startOf(index), this.#stepOf(index)];
    const end = start + step * this.#keyChars(index);
    let hash = Math.imul(this.ownerAt(index), factor);
    for (let at = start; at < end; at += step) hash = Math.imul(hash ^ this.#codeAt(at, step), factor);
    return hash;
  }

  untilAt(index: number): number {
    return this.#untils[index] as number;
  }

  replyAt(index: number): string | undefined {
    if (this.#number(index, KEY_CHARS) < 0) return undefined;
    const step = this.#stepOf(index);
    const start = this.#startOf(index) + step * this.#keyChars(index);
    return this.#bytes.toString(step === 1 ? 'latin1' : 'utf16le', start, this.#number(index, END));
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
    this.tally.bytes -= this.#number(index, END) - this.#startOf(index);
    if (this.later && this.forgotten === this.entries) this.tally.bytes -= this.#leftBytes;
    return this.ownerAt(index);
  }

  /** What no further entry can use. */
  get #leftBytes(): number {
    return this.#bytes.length - this.#usedBytes + (PAGE_SIZE - this.entries) * NUMBERS_BYTES;
  }

  #number(index: number, which: number): number {
    return this.#numbers[NUMBERS * index + which] as number;
  }

  #isFor(index: number, owner: number, route: number, tail: number, key: string): boolean {
    return this.#isOf(index, owner, route, tail) && this.#isKey(index, key);
  }

  #isOf(index: number, owner: number, route: number, tail: number): boolean {
    return (
      this.#number(index, TAIL) === tail && this.#number(index, OWNER) === owner && this.#number(index, ROUTE) === route
    );
  }

  #startOf(index: number): number {
    return index === 0 ? 0 : this.#number(index - 1, END);
  }

  #keyChars(index: number): number {
    return Math.abs(this.#number(index, KEY_CHARS));
  }

  /** How many bytes each of its characters takes. */
  #stepOf(index: number): number {
    return this.#number(index, END) - this.#startOf(index) === this.#number(index, CHARS) ? 1 : 2;
  }

  #codeAt(at: number, step: number): number {
    const low = this.#bytes[at] as number;
    return step === 1 ? low : low | ((this.#bytes[at + 1] as number) << 8);
  }

  /** From its end: keys that come in order begin alike. */
  #isKey(index: number, key: string): boolean {
    if (this.#keyChars(index) !== key.length) return false;
    const [start, step] = [this.#startOf(index), this.#stepOf(index)];
    for (let at = key.length - 1; at >= 0; at--)
      if (this.#codeAt(start + step * at, step) !== key.charCodeAt(at)) return false;
    return true;
  }

  /** UTF-8 would lose lone surrogates, and two keys could become the same. */
  #writeEach(): void {
    this.#end = this.#usedBytes;
    let start = 0;
    for (let index = this.written; index < this.entries; index++) {
      const text = this.#text.slice(start, (start += this.#number(index, CHARS)));
      const size = this.#bytes.write(text, this.#end);
      this.#end += size === text.length ? size : this.#bytes.write(text, this.#end, 'utf16le');
      this.#numbers[NUMBERS * index + END] = this.#end;
    }
  }
}

/** Of the last four characters. */
function tailOf(key: string): number {
  const end = key.length;
  return (
    key.charCodeAt(end - 1) |
    (key.charCodeAt(end - 2) << 8) |
    (key.charCodeAt(end - 3) << 16) |
    (key.charCodeAt(end - 4) << 24)
  );
}
