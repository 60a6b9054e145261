import { type Ended, PAGE_BITS, PAGE_SIZE, ReplyPage } from './reply-page.js';

/** Empty pages that are kept for further entries. */
const MAX_SPARE = 16;

/** Keys that are known for equally long: they are over in the order in which they ended. */
export interface Window {
  readonly ms: number;
  first: ReplyPage | undefined;
  last: ReplyPage | undefined;
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
  readonly #pages: (ReplyPage | undefined)[] = [];
  readonly #freeNumbers: number[] = [];
  readonly #spare: ReplyPage[] = [];
  /** There are few: each route has one. */
  readonly #windows: Window[] = [];
  /** The one that was used last. */
  #window: Window = { ms: 0, first: undefined, last: undefined };

  get windows(): Iterable<Window> {
    return this.#windows;
  }

  /** @param reply undefined: nobody knows how it ended @returns its place */
  append(ended: Ended, until: number, reply: string | undefined): number {
    const { route, key } = ended.asker;
    const page = this.#pageFor(ended.windowMs, route.length + 1 + key.length + (reply?.length ?? 0));
    this.size++;
    return (page.number << PAGE_BITS) + page.append(ended, until, reply) + 1;
  }

  /** @param place may be forgotten */
  isFor(place: number, owner: number, route: string, key: string): boolean {
    const page = this.#pages[numberOf(place)];
    const index = indexOf(place);
    return page !== undefined && page.has(index) && page.isFor(index, owner, route, key);
  }

  hashAt(place: number): number {
    return this.#pageOf(place).hashAt(indexOf(place));
  }

  untilAt(place: number): number {
    return this.#pageOf(place).untilAt(indexOf(place));
  }

  /** Undefined if nobody knows how it ended. */
  replyAt(place: number): string | undefined {
    return this.#pageOf(place).replyAt(indexOf(place));
  }

  /** @returns the id of its owner; 0 once that has given it up */
  ownerAt(place: number): number {
    return this.#pageOf(place).ownerAt(indexOf(place));
  }

  /** It isn't for anybody any more, but takes its room until it is the oldest and forgotten. */
  giveUp(place: number): void {
    this.#pageOf(place).giveUp(indexOf(place));
  }

  /** Calls `add` with all that have an owner. */
  each(add: (hash: number, place: number) => void): void {
    for (const page of this.#pages) {
      if (!page) continue;
      for (let index = page.forgotten; index < page.entries; index++)
        if (page.ownerAt(index) !== 0) add(page.hashAt(index), (page.number << PAGE_BITS) + index + 1);
    }
  }

  /** When the oldest is over; Infinity if there is none. */
  endOf({ first }: Window): number {
    return first ? first.untilAt(first.forgotten) : Number.POSITIVE_INFINITY;
  }

  /** The one whose oldest ended before the oldest of all others. */
  get oldestWindow(): Window | undefined {
    let oldest: Window | undefined;
    let endedAt = Number.POSITIVE_INFINITY;
    for (const window of this.#windows) {
      const at = this.endOf(window) - window.ms;
      if (at >= endedAt) continue;
      oldest = window;
      endedAt = at;
    }
    return oldest;
  }

  /** @returns the id of its owner; 0 if that had given it up */
  forgetOldest(window: Window): number {
    const page = window.first as ReplyPage;
    const owner = page.forgetOldest();
    this.size--;
    if (page.forgotten < page.entries) return owner;
    if (!page.later) window.last = undefined;
    window.first = page.later;
    page.later = undefined; // a spare page must not keep those that come after it
    this.#pages[page.number] = undefined;
    this.#freeNumbers.push(page.number);
    if (page.isUsual && this.#spare.length < MAX_SPARE) this.#spare.push(page.clear());
    return owner;
  }

  #pageOf(place: number): ReplyPage {
    return this.#pages[numberOf(place)] as ReplyPage;
  }

  /** A page with room for a text of so many characters. */
  #pageFor(ms: number, chars: number): ReplyPage {
    const window = this.#window.ms === ms ? this.#window : this.#windowOf(ms);
    const { last } = window;
    if (last?.makeRoom(chars)) return last;
    const spare = ReplyPage.isUsualFor(chars) ? this.#spare.pop() : undefined;
    const page = spare ?? new ReplyPage(this, chars);
    page.number = this.#freeNumbers.pop() ?? this.#pages.length;
    this.#pages[page.number] = page;
    if (last) {
      last.close();
      last.later = page;
    } else window.first = page;
    return (window.last = page);
  }

  #windowOf(ms: number): Window {
    let window = this.#windows.find((one) => one.ms === ms);
    if (!window) this.#windows.push((window = { ms, first: undefined, last: undefined }));
    return (this.#window = window);
  }
}

const numberOf = (place: number): number => (place - 1) >> PAGE_BITS;

const indexOf = (place: number): number => (place - 1) & (PAGE_SIZE - 1);
