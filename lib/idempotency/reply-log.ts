/** Whose key it is. */
export interface Owner {
  readonly name: string;
  /** Differs from owner to owner, so that equal keys of different owners have different hashes. */
  readonly seed: number;
  /** How many keys are known of it. */
  keys: number;
}

/** A key that has ended. */
export interface Ended {
  readonly owner: Owner;
  readonly hash: number;
  readonly until: number;
  readonly route: string;
  readonly key: string;
  /** Undefined: nobody knows how it ended. */
  readonly reply: string | undefined;
}

const PAGE_BYTES = 65_536;
const PAGE_BITS = 8;
/** Entries of a page. */
const PAGE_SIZE = 1 << PAGE_BITS;
/** Empty pages that are kept for further entries. */
const MAX_SPARE = 16;

/**
 * What is noted of an entry: where its bytes begin and end, how many characters they are, and how many of these are before its
 * reply; negative for an entry without one.
 */
const START = 0;
const END = 1;
const CHARS = 2;
const HEAD_CHARS = 3;
const HASH = 4;
const NUMBERS = 5;
/** What the numbers of an entry take. */
const NUMBERS_BYTES = 4 * NUMBERS + 8;

/** Between a route and a key. No route has it. */
const SEPARATOR = '\n';

interface Page {
  number: number;
  /** The route, the key and the reply of one entry after the other: ASCII as it is, and other text as UTF-16. */
  readonly bytes: Buffer;
  usedBytes: number;
  readonly numbers: Int32Array;
  readonly untils: Float64Array;
  /** Of each entry; undefined once it isn't for anybody any more. */
  readonly owners: (Owner | undefined)[];
  /** How many of its entries are forgotten, from the oldest on. */
  forgotten: number;
  later: Page | undefined;
}

/** Keys that are known for equally long: they are over in the order in which they ended. */
export interface Window {
  readonly ms: number;
  first: Page | undefined;
  last: Page | undefined;
}

/**
 * What came of the keys that have ended: for each window a log, in pages of bytes outside of the heap, which the garbage
 * collector doesn't copy and mark. An entry has a place, which is never 0. Only the oldest of a window can be forgotten.
 */
export class ReplyLog {
  /** Entries, those without an owner included. */
  size = 0;
  /** Of their routes, keys and replies, with what full pages have left. */
  bytes = 0;
  readonly #pages: (Page | undefined)[] = [];
  readonly #freeNumbers: number[] = [];
  readonly #spare: Page[] = [];
  /** By `windowMs`. There are few: each route has one. */
  readonly #windows = new Map<number, Window>();

  get windows(): Iterable<Window> {
    return this.#windows.values();
  }

  /** @returns its place */
  append(windowMs: number, { owner, hash, until, route, key, reply }: Ended): number {
    const head = route + SEPARATOR + key;
    const text = reply === undefined ? head : head + reply;
    const page = this.#pageFor(windowMs, text.length);
    const { bytes, numbers, usedBytes: start } = page;
    let size = bytes.write(text, start);
    // Not ASCII: UTF-8 would lose lone surrogates, and two keys could become the same.
    if (size !== text.length) size = bytes.write(text, start, 'utf16le');
    page.usedBytes += size;
    this.bytes += size;
    this.size++;
    const at = page.owners.push(owner) - 1;
    page.untils[at] = until;
    numbers[NUMBERS * at + START] = start;
    numbers[NUMBERS * at + END] = page.usedBytes;
    numbers[NUMBERS * at + CHARS] = text.length;
    numbers[NUMBERS * at + HEAD_CHARS] = reply === undefined ? -head.length : head.length;
    numbers[NUMBERS * at + HASH] = hash;
    return (page.number << PAGE_BITS) + at + 1;
  }

  isFor(place: number, owner: Owner, route: string, key: string): boolean {
    const page = this.#pageOf(place);
    if (page.owners[indexOf(place)] !== owner) return false;
    const head = route + SEPARATOR + key;
    return Math.abs(numberOf(page, place, HEAD_CHARS)) === head.length && textOf(page, place).startsWith(head);
  }

  hashAt(place: number): number {
    return numberOf(this.#pageOf(place), place, HASH);
  }

  untilAt(place: number): number {
    return this.#pageOf(place).untils[indexOf(place)] as number;
  }

  /** Undefined if nobody knows how it ended. */
  replyAt(place: number): string | undefined {
    const page = this.#pageOf(place);
    const headChars = numberOf(page, place, HEAD_CHARS);
    return headChars < 0 ? undefined : textOf(page, place).slice(headChars);
  }

  /** Undefined once the owner has given it up. */
  ownerAt(place: number): Owner | undefined {
    return this.#pageOf(place).owners[indexOf(place)];
  }

  /** It isn't for anybody any more, but takes its room until it is the oldest and forgotten. */
  giveUp(place: number): void {
    this.#pageOf(place).owners[indexOf(place)] = undefined;
  }

  /** @returns 0 if there is none */
  oldestOf({ first }: Window): number {
    return first ? (first.number << PAGE_BITS) + first.forgotten + 1 : 0;
  }

  /** When the oldest is over; Infinity if there is none. */
  endOf(window: Window): number {
    const place = this.oldestOf(window);
    return place === 0 ? Number.POSITIVE_INFINITY : this.untilAt(place);
  }

  /** The one whose oldest ended before the oldest of all others. */
  get oldestWindow(): Window | undefined {
    let oldest: Window | undefined;
    let endedAt = Number.POSITIVE_INFINITY;
    for (const window of this.#windows.values()) {
      const at = this.endOf(window) - window.ms;
      if (at >= endedAt) continue;
      oldest = window;
      endedAt = at;
    }
    return oldest;
  }

  forgetOldest(window: Window): void {
    const { first: page } = window;
    if (!page) return;
    const place = this.oldestOf(window);
    this.size--;
    this.bytes -= numberOf(page, place, END) - numberOf(page, place, START);
    page.owners[page.forgotten++] = undefined;
    if (page.forgotten < page.owners.length) return;
    if (page.later) this.bytes -= leftOf(page);
    else window.last = undefined;
    window.first = page.later;
    page.later = undefined; // a spare page must not keep those that come after it
    this.#pages[page.number] = undefined;
    this.#freeNumbers.push(page.number);
    if (page.bytes.length === PAGE_BYTES && this.#spare.length < MAX_SPARE) this.#spare.push(page);
  }

  #pageOf(place: number): Page {
    return this.#pages[(place - 1) >> PAGE_BITS] as Page;
  }

  /** A page with room for a text of so many characters. */
  #pageFor(ms: number, chars: number): Page {
    let window = this.#windows.get(ms);
    if (!window) this.#windows.set(ms, (window = { ms, first: undefined, last: undefined }));
    const { last } = window;
    const maxBytes = 2 * chars;
    if (last && last.owners.length < PAGE_SIZE && last.usedBytes + maxBytes <= last.bytes.length) return last;
    const page = this.#emptyPage(Math.max(maxBytes, PAGE_BYTES));
    page.number = this.#freeNumbers.pop() ?? this.#pages.length;
    this.#pages[page.number] = page;
    if (last) {
      last.later = page;
      this.bytes += leftOf(last);
    } else window.first = page;
    return (window.last = page);
  }

  #emptyPage(size: number): Page {
    const spare = size === PAGE_BYTES ? this.#spare.pop() : undefined;
    if (!spare) {
      return {
        number: 0,
        bytes: Buffer.allocUnsafeSlow(size),
        usedBytes: 0,
        numbers: new Int32Array(NUMBERS * PAGE_SIZE),
        untils: new Float64Array(PAGE_SIZE),
        owners: [],
        forgotten: 0,
        later: undefined,
      };
    }
    spare.usedBytes = spare.forgotten = spare.owners.length = 0;
    return spare;
  }
}

/** What no further entry can use. */
const leftOf = ({ bytes, usedBytes, owners }: Page): number =>
  bytes.length - usedBytes + (PAGE_SIZE - owners.length) * NUMBERS_BYTES;

const indexOf = (place: number): number => (place - 1) & (PAGE_SIZE - 1);

const numberOf = ({ numbers }: Page, place: number, which: number): number =>
  numbers[NUMBERS * indexOf(place) + which] as number;

function textOf(page: Page, place: number): string {
  const [start, end] = [numberOf(page, place, START), numberOf(page, place, END)];
  const isAscii = end - start === numberOf(page, place, CHARS);
  return page.bytes.toString(isAscii ? 'latin1' : 'utf16le', start, end);
}
