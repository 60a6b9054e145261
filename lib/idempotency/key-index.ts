import { randomInt } from 'node:crypto';
import { PlaceTable } from './place-table.js';
import { PAGE_BITS, PAGE_SIZE, type ReplyPage } from './reply-page.js';

/** So many pages get their places together, each time somebody looks for a key. */
const PAGES_AT_ONCE = 8;

/**
 * Finds keys in pages. Most keys are never looked for: a table knows only what was there when somebody looked, and of that only
 * some pages more each time, so that nobody waits for long. The rest is searched from one end to the other.
 */
export class KeyIndex {
  /** Odd, and secret, so that nobody can choose keys with equal hashes. */
  readonly #factor = randomInt(2 ** 31) | 1;
  readonly #table = new PlaceTable();
  /** Pages with entries that the table doesn't know. */
  readonly #unknown = new Set<ReplyPage>();

  /** @param pages by their numbers; the index doesn't change it */
  constructor(private readonly pages: readonly (ReplyPage | undefined)[]) {}

  /** The page has new entries. */
  grown(page: ReplyPage): void {
    this.#unknown.add(page);
  }

  /** All entries of the page are forgotten. */
  removed(page: ReplyPage): void {
    this.#unknown.delete(page);
  }

  /**
   * @param owner not 0 @param route its number
   * @param size how many entries there are
   * @returns its place; 0 for a key that isn't here
   */
  find(owner: number, route: number, key: string, size: number): number {
    if (this.#unknown.size > 0) this.#placeSome(size);
    const hash = this.#hashOf(owner, key);
    for (let cell = this.#table.find(hash); cell >= 0; cell = this.#table.find(hash, cell)) {
      const place = this.#table.placeAt(cell);
      const page = this.pages[numberOf(place)];
      const index = indexOf(place);
      if (page?.has(index) && page.isFor(index, owner, route, key)) return place;
    }
    for (const page of this.#unknown) {
      const index = page.search(owner, route, key);
      if (index >= 0) return placeOf(page, index);
    }
    return 0;
  }

  /** Frees memory if there are only so many entries. */
  shrink(size: number): void {
    if (this.#table.isMuchFor(size)) this.#clear(size);
  }

  #placeSome(size: number): void {
    let pages = this.#nextPages();
    const more = pages.reduce((sum, page) => sum + page.written - page.firstUnknown, 0);
    if (!this.#table.hasRoomFor(more)) {
      this.#clear(size);
      pages = this.#nextPages();
    }
    for (const page of pages) {
      for (let index = page.firstUnknown; index < page.written; index++)
        this.#table.add(page.hashAt(index, this.#factor), placeOf(page, index));
      page.known = page.written;
      this.#unknown.delete(page);
    }
  }

  #nextPages(): ReplyPage[] {
    const pages: ReplyPage[] = [];
    for (const page of this.#unknown) if (pages.push(page) === PAGES_AT_ONCE) break;
    return pages;
  }

  /** Leaves out what was forgotten meanwhile. */
  #clear(size: number): void {
    this.#table.clear(size);
    for (const page of this.pages) {
      if (!page) continue;
      page.known = 0;
      this.#unknown.add(page);
    }
  }

  #hashOf(owner: number, key: string): number {
    let hash = Math.imul(owner, this.#factor);
    for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), this.#factor);
    return hash;
  }
}

const placeOf = (page: ReplyPage, index: number): number => (page.number << PAGE_BITS) + index + 1;

export const numberOf = (place: number): number => (place - 1) >> PAGE_BITS;

export const indexOf = (place: number): number => (place - 1) & (PAGE_SIZE - 1);
