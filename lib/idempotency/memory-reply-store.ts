import { randomInt } from 'node:crypto';
import type { Clock } from '../clock.js';
import { guarded } from '../guarded.js';
import { PlaceTable } from './place-table.js';
import { type Owner, ReplyLog, type Window } from './reply-log.js';
import {
  type Asker,
  type Claim,
  type Ending,
  type KeyRule,
  type Mine,
  type ReplyStore,
  tooManyKeys,
} from './reply-store.js';

export interface MemoryReplyStoreParts {
  clock: Pick<Clock, 'now' | 'every'>;
  maxKeys: number;
  maxBytes: number;
  maxPerUser: number;
  /** Called at most once a second, with the number of keys that were forgotten before their time, as there are too many. */
  forgot(keys: number): void;
  failed(error: unknown, place: string): void;
}

/** A key whose handler runs. */
interface Running extends Mine {
  readonly asker: Asker;
  readonly owner: Owner;
  readonly hash: number;
  readonly until: number;
  readonly windowMs: number;
  /** Its index among those that run. Its place in the table is the negative of the next number. */
  readonly slot: number;
}

/** What a key takes beside its text and its reply, with what its owner takes. */
const ENTRY_BYTES = 200;
const SWEEP_MS = 30_000;
const TELL_MS = 1_000;
const DOUBT: Claim = { state: 'doubt' };

/** The keys of one process. It answers at once. */
export class MemoryReplyStore implements ReplyStore {
  /** Where each key is: in the log if the place is positive, among those that run if it is negative. */
  readonly #places = new PlaceTable();
  readonly #log = new ReplyLog();
  readonly #running: (Running | undefined)[] = [];
  readonly #freeSlots: number[] = [];
  /** Those that have keys. */
  readonly #owners = new Map<string, Owner>();
  /** Odd, and secret, so that nobody can choose keys with equal hashes. */
  readonly #factor = randomInt(2 ** 31) | 1;
  #ownersSeen = 0;
  /** All keys that were claimed since then, and whose window isn't over, are here. */
  #completeSince: number;
  #ownerChars = 0;
  /** Of the keys that run. */
  #runningChars = 0;
  #forgotten = 0;
  #toldAt = Number.NEGATIVE_INFINITY;
  #stopSweeping: (() => void) | undefined;

  constructor(private readonly parts: MemoryReplyStoreParts) {
    this.#completeSince = parts.clock.now();
  }

  get size(): number {
    return this.#places.size;
  }

  claim(asker: Asker, { windowMs, runMs = windowMs, rerun }: KeyRule, sentMsAgo?: number): Claim {
    const now = this.parts.clock.now();
    const owner = this.#owners.get(asker.owner) ?? this.#newOwner(asker.owner);
    const hash = this.#hashOf(owner, asker.key);
    const place = this.#find(hash, owner, asker);
    const isKnown = place !== 0 && this.#untilAt(place) > now;
    if (isKnown) {
      const known = this.#known(place, asker, now);
      if (known.state !== 'doubt' || !rerun) return known;
    } else if (sentMsAgo !== undefined && !rerun) {
      // It may have been handled by the process before this one, or be forgotten.
      if (sentMsAgo >= windowMs || now - sentMsAgo < this.#completeSince) return DOUBT;
    }
    if (place !== 0) this.#giveUp(place);
    this.#count(owner, windowMs);
    const slot = this.#freeSlots.pop() ?? this.#running.length;
    const mine: Running = { state: 'mine', asker, owner, hash, until: now + runMs, windowMs, slot };
    this.#running[slot] = mine;
    this.#runningChars += asker.key.length;
    this.#places.add(hash, placeOf(mine));
    this.#makeRoom(now);
    return mine;
  }

  end(mine: Running, ending: Ending): void {
    const { owner, asker, hash, windowMs } = mine;
    if (this.#running[mine.slot] !== mine) return;
    if (ending.state === 'free') return this.#giveUp(placeOf(mine));
    const now = this.parts.clock.now();
    const { route, key } = asker;
    const reply = ending.state === 'kept' ? ending.reply : undefined;
    const place = this.#log.append(windowMs, { owner, hash, until: now + windowMs, route, key, reply });
    this.#places.replace(hash, placeOf(mine), place);
    this.#stopRunning(mine);
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
    for (const mine of this.#running) if (mine) this.end(mine, { state: 'doubt' });
  }

  /** Forgets what is too old, to free memory. */
  sweep(): void {
    const now = this.parts.clock.now();
    for (const mine of this.#running) if (mine && mine.until <= now) this.#giveUp(placeOf(mine));
    for (const window of this.#log.windows) while (this.#log.endOf(window) <= now) this.#forgetOldest(window);
    this.#tell(now);
  }

  #newOwner(name: string): Owner {
    return { name, seed: Math.imul(++this.#ownersSeen, this.#factor), keys: 0 };
  }

  #hashOf({ seed }: Owner, key: string): number {
    let hash = seed;
    for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), this.#factor);
    return hash;
  }

  /** @returns 0 for a key that isn't here */
  #find(hash: number, owner: Owner, { route, key }: Asker): number {
    if (owner.keys === 0) return 0;
    for (let cell = this.#places.find(hash); cell >= 0; cell = this.#places.find(hash, cell)) {
      const place = this.#places.placeAt(cell);
      const running = this.#runningAt(place);
      const isIt = running
        ? running.owner === owner && running.asker.key === key && running.asker.route === route
        : this.#log.isFor(place, owner, route, key);
      if (isIt) return place;
    }
    return 0;
  }

  /** What is known of a key that is here. */
  #known(place: number, { token }: Asker, now: number): Claim {
    const running = this.#runningAt(place);
    if (running) return running.asker.token === token ? running : { state: 'running', forMs: running.until - now };
    const reply = this.#log.replyAt(place);
    return reply === undefined ? DOUBT : { state: 'kept', reply };
  }

  #runningAt(place: number): Running | undefined {
    return place < 0 ? this.#running[-1 - place] : undefined;
  }

  #untilAt(place: number): number {
    return this.#runningAt(place)?.until ?? this.#log.untilAt(place);
  }

  #stopRunning({ slot, asker }: Running): void {
    this.#running[slot] = undefined;
    this.#freeSlots.push(slot);
    this.#runningChars -= asker.key.length;
  }

  /** The key isn't known any more. */
  #giveUp(place: number): void {
    const running = this.#runningAt(place);
    const { owner, hash } = running ?? { owner: this.#log.ownerAt(place) as Owner, hash: this.#log.hashAt(place) };
    this.#places.delete(hash, place);
    if (running) this.#stopRunning(running);
    else this.#log.giveUp(place);
    if (--owner.keys > 0) return;
    this.#owners.delete(owner.name);
    this.#ownerChars -= owner.name.length;
  }

  #forgetOldest(window: Window): void {
    const place = this.#log.oldestOf(window);
    if (this.#log.ownerAt(place)) this.#giveUp(place);
    this.#log.forgetOldest(window);
  }

  /** The oldest that has ended goes. What runs stays: the number of running handlers has its own bound. */
  #makeRoom(now: number): void {
    if (!this.#isFull) return;
    do {
      const window = this.#log.oldestWindow;
      if (!window) break;
      const place = this.#log.oldestOf(window);
      if (this.#log.ownerAt(place) && this.#log.untilAt(place) > now) {
        this.#forgotten++;
        this.#completeSince = now;
      }
      this.#forgetOldest(window);
    } while (this.#isFull);
    this.#tell(now);
  }

  get #isFull(): boolean {
    const { maxKeys, maxBytes } = this.parts;
    const entries = this.#log.size + this.#running.length - this.#freeSlots.length;
    const bytes = this.#log.bytes + this.#runningChars + this.#ownerChars + entries * ENTRY_BYTES;
    return this.size > maxKeys || bytes > maxBytes;
  }

  #tell(now: number): void {
    if (this.#forgotten === 0 || now - this.#toldAt < TELL_MS) return;
    this.#toldAt = now;
    this.parts.forgot(this.#forgotten);
    this.#forgotten = 0;
  }

  /** @throws {PeerError} RATE_LIMITED */
  #count(owner: Owner, windowMs: number): void {
    const { maxPerUser } = this.parts;
    if (owner.keys >= maxPerUser) {
      this.sweep();
      if (owner.keys >= maxPerUser) throw tooManyKeys(maxPerUser, windowMs);
    }
    if (owner.keys++ > 0) return;
    this.#owners.set(owner.name, owner);
    this.#ownerChars += owner.name.length;
  }
}

const placeOf = ({ slot }: Running): number => -1 - slot;
