import { randomInt } from 'node:crypto';
import type { Clock } from '../clock.js';
import { guarded } from '../guarded.js';
import { KeyOwners, type Owner } from './key-owners.js';
import { PlaceTable } from './place-table.js';
import { ReplyLog, type Window } from './reply-log.js';
import { type Asker, type Claim, type Ending, type KeyRule, type ReplyStore, tooManyKeys } from './reply-store.js';
import { type Running, RunningKeys } from './running-keys.js';

export interface MemoryReplyStoreParts {
  clock: Pick<Clock, 'now' | 'every'>;
  maxKeys: number;
  maxBytes: number;
  maxPerUser: number;
  /** Called at most once a second, with the number of keys that were forgotten before their time, as there are too many. */
  forgot(keys: number): void;
  failed(error: unknown, place: string): void;
}

/** What a key takes beside its text and its reply, with what its owner takes. */
const ENTRY_BYTES = 200;
const SWEEP_MS = 30_000;
const TELL_MS = 1_000;
/** A thousandth of all keys is forgotten at once, but no more than this: what lies together is read faster. */
const MOST_AT_ONCE = 256;
const PART_AT_ONCE = 1_000;
const DOUBT: Claim = { state: 'doubt' };

/** The keys of one process. It answers at once. */
export class MemoryReplyStore implements ReplyStore {
  /** Where each key is: in the log if the place is positive, among those that run if it is negative. */
  readonly #places = new PlaceTable((add) => this.#each(add));
  readonly #log = new ReplyLog();
  readonly #running = new RunningKeys();
  /** Odd, and secret, so that nobody can choose keys with equal hashes. */
  readonly #factor = randomInt(2 ** 31) | 1;
  readonly #owners = new KeyOwners(this.#factor);
  /** What was claimed last. Most handlers end before the next claim, so it gets a place only then. */
  #latest: Running | undefined;
  /** Keys that have a place. */
  #size = 0;
  /** All keys that were claimed since then, and whose window isn't over, are here. */
  #completeSince: number;
  #forgotten = 0;
  #toldAt = Number.NEGATIVE_INFINITY;
  #stopSweeping: (() => void) | undefined;

  constructor(private readonly parts: MemoryReplyStoreParts) {
    this.#completeSince = parts.clock.now();
  }

  get size(): number {
    this.#placeLatest();
    return this.#size;
  }

  claim(asker: Asker, rule: KeyRule, sentMsAgo?: number): Claim {
    this.#placeLatest();
    const owner = this.#owners.of(asker.owner);
    // Most keys come in order, as our client makes them. Then there is nothing to find.
    const isNew = owner.keys === 0 || asker.key > owner.greatest;
    const place = isNew ? 0 : this.#find(owner, asker);
    if (place !== 0 || sentMsAgo !== undefined) {
      const known = this.#known(place, asker, rule, sentMsAgo);
      if (known) return known;
      if (place !== 0) this.#giveUp(place);
    }
    const { windowMs, runMs = windowMs } = rule;
    this.#count(owner, asker.key, windowMs);
    const mine: Running = { state: 'mine', asker, owner, hash: 0, windowMs, runMs, until: undefined, place: 0 };
    return (this.#latest = mine);
  }

  end(mine: Running, ending: Ending): void {
    const isLatest = this.#latest === mine;
    if (isLatest) this.#latest = undefined;
    else if (this.#running.at(mine.place) !== mine) return;
    const { owner, windowMs } = mine;
    if (ending.state === 'free') return isLatest ? this.#owners.minus(owner) : this.#giveUp(mine.place);
    const now = this.parts.clock.now();
    if (isLatest) mine.hash = this.#hashOf(mine);
    const place = this.#log.append(mine, now + windowMs, ending.state === 'kept' ? ending.reply : undefined);
    if (isLatest) {
      this.#places.add(mine.hash, place);
      this.#size++;
    } else {
      this.#places.replace(mine.hash, mine.place, place);
      this.#running.delete(mine);
    }
    this.#makeRoom(now);
  }

  async start(): Promise<void> {
    this.#stopSweeping ??= this.parts.clock.every(
      SWEEP_MS,
      guarded('old keys', this.parts.failed, () => this.sweep()),
    );
  }

  async stop(): Promise<void> {
    this.#stopSweeping?.();
    this.#stopSweeping = undefined;
    this.#placeLatest();
    this.#running.each((mine) => this.end(mine, { state: 'doubt' }));
  }

  /** Forgets what is too old, to free memory. */
  sweep(): void {
    this.#placeLatest();
    const now = this.parts.clock.now();
    this.#running.each(({ place }) => this.#untilAt(place) <= now && this.#giveUp(place));
    for (const window of this.#log.windows) while (this.#log.endOf(window) <= now) this.#forgetOldest(window);
    this.#places.shrink(this.#size);
    this.#tell(now);
  }

  #hashOf({ owner, asker: { key } }: Pick<Running, 'owner' | 'asker'>): number {
    let hash = owner.seed;
    for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), this.#factor);
    return hash;
  }

  /** @returns 0 for a key that isn't here */
  #find(owner: Owner, asker: Asker): number {
    const { route, key } = asker;
    const hash = this.#hashOf({ owner, asker });
    for (let cell = this.#places.find(hash); cell >= 0; cell = this.#places.find(hash, cell)) {
      const place = this.#places.placeAt(cell);
      const running = this.#running.at(place);
      const isIt = running
        ? running.owner === owner && running.asker.key === key && running.asker.route === route
        : place > 0 && this.#log.isFor(place, owner.id, route, key);
      if (isIt) return place;
    }
    return 0;
  }

  /** @param place 0 for a key that isn't here @returns undefined if the asker may have it */
  #known(place: number, { token }: Asker, { windowMs, rerun }: KeyRule, sentMsAgo?: number): Claim | undefined {
    const now = this.parts.clock.now();
    const until = place === 0 ? now : this.#untilAt(place);
    if (until <= now) {
      // It may have been handled by the process before this one, or be forgotten.
      const isLost = sentMsAgo !== undefined && (sentMsAgo >= windowMs || now - sentMsAgo < this.#completeSince);
      return isLost && !rerun ? DOUBT : undefined;
    }
    const running = this.#running.at(place);
    if (running) return running.asker.token === token ? running : { state: 'running', forMs: until - now };
    const reply = this.#log.replyAt(place);
    if (reply !== undefined) return { state: 'kept', reply };
    return rerun ? undefined : DOUBT;
  }

  #untilAt(place: number): number {
    return this.#running.at(place)?.until ?? this.#log.untilAt(place);
  }

  /** It runs for longer than a turn, or somebody asks for it. */
  #placeLatest(): void {
    const latest = this.#latest;
    if (!latest) return;
    this.#latest = undefined;
    const now = this.parts.clock.now();
    latest.until = now + latest.runMs;
    latest.hash = this.#hashOf(latest);
    this.#running.add(latest);
    this.#places.add(latest.hash, latest.place);
    this.#size++;
    this.#makeRoom(now);
  }

  /** The key isn't known any more. */
  #giveUp(place: number): void {
    const running = this.#running.at(place);
    const owner = running?.owner ?? this.#owners.at(this.#log.ownerAt(place));
    this.#places.delete(running?.hash ?? this.#log.hashAt(place), place);
    if (running) this.#running.delete(running);
    else this.#log.giveUp(place);
    this.#size--;
    if (owner) this.#owners.minus(owner);
  }

  /** Its place ends without a word to the table. @returns false if its owner had given it up */
  #forgetOldest(window: Window): boolean {
    const owner = this.#owners.at(this.#log.forgetOldest(window));
    if (!owner) return false;
    this.#size--;
    this.#owners.minus(owner);
    return true;
  }

  /** The oldest that have ended go. What runs stays: the number of running handlers has its own bound. */
  #makeRoom(now: number): void {
    if (!this.#isFull) return;
    let least = Math.min(this.#size / PART_AT_ONCE, MOST_AT_ONCE);
    do {
      const window = this.#log.oldestWindow;
      if (!window) break;
      const isBeforeItsTime = this.#log.endOf(window) > now;
      if (!this.#forgetOldest(window) || !isBeforeItsTime) continue;
      this.#forgotten++;
      this.#completeSince = now;
    } while (--least > 0 || this.#isFull);
    this.#tell(now);
  }

  #each(add: (hash: number, place: number) => void): void {
    this.#running.each(({ hash, place }) => add(hash, place));
    this.#log.each(add);
  }

  get #isFull(): boolean {
    const { maxKeys, maxBytes } = this.parts;
    const entries = this.#log.size + this.#running.size;
    const bytes = this.#log.bytes + this.#running.chars + this.#owners.chars + entries * ENTRY_BYTES;
    return this.#size > maxKeys || bytes > maxBytes;
  }

  #tell(now: number): void {
    if (this.#forgotten === 0 || now - this.#toldAt < TELL_MS) return;
    this.#toldAt = now;
    this.parts.forgot(this.#forgotten);
    this.#forgotten = 0;
  }

  /** @throws {PeerError} RATE_LIMITED */
  #count(owner: Owner, key: string, windowMs: number): void {
    const { maxPerUser } = this.parts;
    if (owner.keys >= maxPerUser) {
      this.sweep();
      if (owner.keys >= maxPerUser) throw tooManyKeys(maxPerUser, windowMs);
    }
    this.#owners.plus(owner, key);
  }
}
