import type { Clock } from '../clock.js';
import { indexOf, KeyIndex, numberOf } from './key-index.js';
import { ReplyPage } from './reply-page.js';

/** Empty pages that are kept for further entries. */
const MAX_SPARE = 16;

/** A key that has ended. */
export interface Ended {
  readonly owner: { readonly id: number };
  readonly rule: { readonly windowMs: number };
  readonly asker: { readonly route: string; readonly key: string };
}

/** So many, or so many characters of them, become bytes together. */
const MOST_FRESH = 64;
const MOST_CHARS = 8_192;

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
  /** Of their keys and replies, with what full pages have left. */
  bytes = 0;
  /** Entries that aren't bytes yet, and their characters. */
  fresh = 0;
  freshChars = 0;
  readonly #pages: (ReplyPage | undefined)[] = [];
  readonly #freeNumbers: number[] = [];
  readonly #spare: ReplyPage[] = [];
  readonly #index = new KeyIndex(this.#pages);
  /** There are few: each route has one. */
  readonly #windows: Window[] = [];
  /** The one that was used last. */
  #window: Window = { ms: 0, first: undefined, last: undefined };
  /** There are few, and none is forgotten. */
  readonly #routes = new Map<string, number>();
  /** The one that was used last. */
  #route: string | undefined;
  #routeNumber = 0;

  constructor(private readonly clock: Pick<Clock, 'now'>) {}

  get windows(): Iterable<Window> {
    return this.#windows;
  }

  /** Whether what is fresh should be written before the end of the turn. */
  get isMuch(): boolean {
    return this.fresh >= MOST_FRESH || this.freshChars >= MOST_CHARS;
  }

  /** It is written, and its time begins, with `write()`. @param reply undefined: nobody knows how it ended */
  add({ owner, rule: { windowMs }, asker: { route, key } }: Ended, reply: string | undefined): void {
    const window = this.#window.ms === windowMs ? this.#window : this.#windowOf(windowMs);
    const chars = key.length + (reply?.length ?? 0);
    const page = window.last?.hasRoomFor(chars) ? window.last : this.#addPage(window, chars);
    page.add(owner.id, route === this.#route ? this.#routeNumber : this.#numberOf(route), key, reply);
    this.size++;
    this.fresh++;
    this.freshChars += chars;
  }

  /** Makes bytes of what is fresh. */
  write(): void {
    if (this.fresh === 0) return;
    const now = this.clock.now();
    this.fresh = this.freshChars = 0;
    for (const { last, ms } of this.#windows) {
      if (!last || last.written === last.entries) continue;
      last.write(now + ms);
      this.#index.grown(last);
    }
  }

  /** @param owner its id */
  isFresh(owner: number, route: string, key: string): boolean {
    const number = this.#routes.get(route);
    if (this.fresh === 0 || number === undefined) return false;
    return this.#windows.some(({ last }) => last?.isFresh(owner, number, key));
  }

  /** @param owner its id @returns its place; 0 for a key that isn't here, or is fresh */
  find(owner: number, route: string, key: string): number {
    const number = this.#routes.get(route);
    return number === undefined ? 0 : this.#index.find(owner, number, key, this.size);
  }

  untilAt(place: number): number {
    return this.#pageOf(place).untilAt(indexOf(place));
  }

  /** Undefined if nobody knows how it ended. */
  replyAt(place: number): string | undefined {
    return this.#pageOf(place).replyAt(indexOf(place));
  }

  /** It isn't for anybody any more, but takes its room until it is the oldest and forgotten. */
  giveUp(place: number): void {
    this.#pageOf(place).giveUp(indexOf(place));
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
    this.#index.removed(page);
    if (page.isUsual && this.#spare.length < MAX_SPARE) this.#spare.push(page.clear());
    return owner;
  }

  /** Frees memory that few entries don't need. */
  shrink(): void {
    this.#index.shrink(this.size);
  }

  #pageOf(place: number): ReplyPage {
    return this.#pages[numberOf(place)] as ReplyPage;
  }

  /** A page with room for a text of so many characters. */
  #addPage(window: Window, chars: number): ReplyPage {
    this.write();
    const spare = ReplyPage.isUsualFor(chars) ? this.#spare.pop() : undefined;
    const page = spare ?? new ReplyPage(this, chars);
    page.number = this.#freeNumbers.pop() ?? this.#pages.length;
    this.#pages[page.number] = page;
    if (window.last) {
      window.last.close();
      window.last.later = page;
    } else window.first = page;
    return (window.last = page);
  }

  #windowOf(ms: number): Window {
    let window = this.#windows.find((one) => one.ms === ms);
    if (!window) this.#windows.push((window = { ms, first: undefined, last: undefined }));
    return (this.#window = window);
  }

  #numberOf(route: string): number {
    let number = this.#routes.get(route);
    if (number === undefined) this.#routes.set(route, (number = this.#routes.size));
    this.#route = route;
    return (this.#routeNumber = number);
  }
}
