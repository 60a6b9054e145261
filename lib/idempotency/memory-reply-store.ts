import type { Clock } from '../clock.js';
import { guarded } from '../guarded.js';
import { KeyOwners, type Owner } from './key-owners.js';
import { ReplyLog, type Window } from './reply-log.js';
import { type Asker, type Claim, type Ending, type KeyRule, type ReplyStore, tooManyKeys } from './reply-store.js';
import { type Running, RunningKeys } from './running-keys.js';

export interface MemoryReplyStoreParts {
  clock: Pick<Clock, 'now' | 'soon' | 'every'>;
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
  readonly #log: ReplyLog;
  readonly #running = new RunningKeys();
  readonly #owners = new KeyOwners();
  /** What was claimed last. Most handlers end before the next claim, so only then it counts as running. */
  #latest: Running | undefined;
  /** Keys that are known, without the latest. */
  #size = 0;
  /** All keys that ended since then, and whose window isn't over, are here. */
  #completeSince: number;
  #forgotten = 0;
  #toldAt = Number.NEGATIVE_INFINITY;
  #stopSweeping: (() => void) | undefined;
  readonly #atTurnsEnd: () => void;

  constructor(private readonly parts: MemoryReplyStoreParts) {
    this.#log = new ReplyLog(parts.clock);
    this.#atTurnsEnd = guarded('the keys of messages', parts.failed, () => this.#keepEnded());
    this.#completeSince = parts.clock.now();
  }

  get size(): number {
    this.#settle();
    return this.#size;
  }

  claim(asker: Asker, rule: KeyRule, sentMsAgo?: number): Claim {
    this.#placeLatest();
    const owner = this.#owners.of(asker.owner);
    // Most keys come in order, as our client makes them. Then there is nothing to find.
    const isGreatest = asker.key > owner.greatest;
    if (!isGreatest || sentMsAgo !== undefined) {
      const known = this.#known(owner, isGreatest, asker, rule, sentMsAgo);
      if (known) return known;
    }
    if (owner.keys >= this.parts.maxPerUser) this.#sweepFor(owner, rule);
    this.#owners.plus(owner, asker.key, isGreatest);
    const mine: Running = { state: 'mine', asker, owner, rule, until: undefined };
    return (this.#latest = mine);
  }

  end(mine: Running, ending: Ending): void {
    const isLatest = this.#latest === mine;
    if (isLatest) this.#latest = undefined;
    else if (!this.#running.delete(mine)) return;
    if (ending.state === 'free') {
      if (!isLatest) this.#size--;
      return this.#owners.minus(mine.owner);
    }
    if (isLatest) this.#size++;
    if (this.#log.fresh === 0) this.parts.clock.soon(this.#atTurnsEnd);
    this.#log.add(mine, ending.state === 'kept' ? ending.reply : undefined);
    if (this.#log.isMuch || this.#size > this.parts.maxKeys) this.#keepEnded();
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
    for (const mine of this.#running.all()) this.end(mine, { state: 'doubt' });
    this.#keepEnded();
  }

  /** Forgets what is too old, to free memory. */
  sweep(): void {
    this.#settle();
    const now = this.parts.clock.now();
    for (const mine of this.#running.all()) if ((mine.until as number) <= now) this.#giveUp(mine);
    for (const window of this.#log.windows) while (this.#log.endOf(window) <= now) this.#forgetOldest(window);
    this.#log.shrink();
    this.#tell(now);
  }

  /** @param isGreatest it can't be here @returns undefined if the asker may have it */
  #known(owner: Owner, isGreatest: boolean, asker: Asker, rule: KeyRule, sentMsAgo?: number): Claim | undefined {
    const now = this.parts.clock.now();
    const { windowMs, rerun } = rule;
    const running = isGreatest ? undefined : this.#running.of(asker);
    const place = isGreatest || running ? 0 : this.#find(owner, asker);
    const until = running?.until ?? (place === 0 ? now : this.#log.untilAt(place));
    if (until <= now) {
      // It may have been handled by the process before this one, or be forgotten.
      const isLost = sentMsAgo !== undefined && (sentMsAgo >= windowMs || now - sentMsAgo <= this.#completeSince);
      if (isLost && !rerun) return DOUBT;
    } else if (running) {
      return running.asker.token === asker.token ? running : { state: 'running', forMs: until - now };
    } else {
      const reply = this.#log.replyAt(place);
      if (reply !== undefined) return { state: 'kept', reply };
      if (!rerun) return DOUBT;
    }
    if (running) this.#giveUp(running);
    else if (place !== 0) this.#giveUpAt(place, owner);
    return undefined;
  }

  /** @returns its place in the log; 0 for a key that hasn't ended */
  #find(owner: Owner, { route, key }: Asker): number {
    if (this.#log.isFresh(owner.id, route, key)) this.#keepEnded();
    return owner.keys === 0 ? 0 : this.#log.find(owner.id, route, key);
  }

  /** It runs for longer than a turn, or somebody asks for it. */
  #placeLatest(): void {
    const latest = this.#latest;
    if (!latest) return;
    this.#latest = undefined;
    const { windowMs, runMs = windowMs } = latest.rule;
    latest.until = this.parts.clock.now() + runMs;
    this.#running.add(latest);
    this.#size++;
    if (this.#isFull) this.#keepEnded();
  }

  #settle(): void {
    this.#placeLatest();
    this.#keepEnded();
  }

  /** What ended in this turn. */
  #keepEnded(): void {
    this.#log.write();
    this.#makeRoom();
  }

  /** The key isn't known any more. */
  #giveUp(running: Running): void {
    this.#running.delete(running);
    this.#size--;
    this.#owners.minus(running.owner);
  }

  #giveUpAt(place: number, owner: Owner): void {
    this.#log.giveUp(place);
    this.#size--;
    this.#owners.minus(owner);
  }

  /** @returns false if its owner had given it up */
  #forgetOldest(window: Window): boolean {
    const owner = this.#owners.at(this.#log.forgetOldest(window));
    if (!owner) return false;
    this.#size--;
    this.#owners.minus(owner);
    return true;
  }

  /** The oldest that have ended go. What runs stays: the number of running handlers has its own bound. */
  #makeRoom(): void {
    if (!this.#isFull) return;
    const now = this.parts.clock.now();
    let least = Math.min(this.#size / PART_AT_ONCE, MOST_AT_ONCE);
    do {
      const window = this.#log.oldestWindow;
      if (!window) break;
      const until = this.#log.endOf(window);
      if (!this.#forgetOldest(window) || until <= now) continue;
      this.#forgotten++;
      this.#completeSince = until - window.ms; // those that ended later are all here
    } while (--least > 0 || this.#isFull);
    this.#tell(now);
  }

  get #isFull(): boolean {
    const { maxKeys, maxBytes } = this.parts;
    const entries = this.#log.size + this.#running.size;
    const chars = this.#log.freshChars + this.#running.chars + this.#owners.chars;
    const bytes = this.#log.bytes + chars + entries * ENTRY_BYTES;
    return this.#size > maxKeys || bytes > maxBytes;
  }

  #tell(now: number): void {
    if (this.#forgotten === 0 || now - this.#toldAt < TELL_MS) return;
    this.#toldAt = now;
    this.parts.forgot(this.#forgotten);
    this.#forgotten = 0;
  }

  /** @throws {PeerError} RATE_LIMITED */
  #sweepFor(owner: Owner, { windowMs }: KeyRule): void {
    const { maxPerUser } = this.parts;
    this.sweep();
    if (owner.keys >= maxPerUser) throw tooManyKeys(maxPerUser, windowMs);
  }
}
