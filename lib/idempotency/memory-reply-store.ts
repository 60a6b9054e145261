import type { Clock } from '../clock.js';
import { guarded } from '../guarded.js';
import type { Claim, Ending, KeyRule, ReplyStore } from './reply-store.js';

export interface MemoryReplyStoreParts {
  clock: Pick<Clock, 'now' | 'every'>;
  maxKeys?: number;
  maxBytes?: number;
  /** Called when a key was forgotten before its time, as there are too many. */
  forgot(): void;
  failed(error: unknown, place: string): void;
}

interface Entry {
  token: string;
  /** Undefined while it runs. */
  ending: Exclude<Ending, { state: 'free' }> | undefined;
  bytes: number;
  until: number;
}

const MAX_KEYS = 100_000;
const MAX_BYTES = 67_108_864;
/** What a key takes beside its text and its reply. */
const ENTRY_BYTES = 200;
const SWEEP_MS = 30_000;

/** The keys of one process. */
export class MemoryReplyStore implements ReplyStore {
  /** Those that have ended come after those that run, in this order. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;
  #stopSweeping: (() => void) | undefined;

  constructor(private readonly parts: MemoryReplyStoreParts) {}

  get size(): number {
    return this.#entries.size;
  }

  async claim(key: string, token: string, { windowMs, rerun }: KeyRule): Promise<Claim> {
    const now = this.parts.clock.now();
    const known = this.#entries.get(key);
    if (known && known.until > now) {
      const { ending } = known;
      if (!ending) return known.token === token ? { state: 'mine' } : { state: 'running', forMs: known.until - now };
      if (ending.state === 'kept' || !rerun) return ending;
    }
    this.#put(key, { token, ending: undefined, bytes: key.length + ENTRY_BYTES, until: now + windowMs });
    this.#makeRoom();
    return { state: 'mine' };
  }

  async end(key: string, token: string, ending: Ending, { windowMs }: KeyRule): Promise<void> {
    const entry = this.#entries.get(key);
    if (entry?.token !== token) return;
    this.#delete(key, entry);
    if (ending.state === 'free') return;
    const bytes = key.length + ENTRY_BYTES + (ending.state === 'kept' ? ending.reply.length : 0);
    this.#put(key, { token, ending, bytes, until: this.parts.clock.now() + windowMs });
    this.#makeRoom();
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
    for (const entry of this.#entries.values()) entry.ending ??= { state: 'doubt' };
  }

  /** Forgets what is too old, to free memory. */
  sweep(): void {
    const now = this.parts.clock.now();
    for (const [key, entry] of this.#entries) if (entry.until <= now) this.#delete(key, entry);
  }

  /** The oldest that has ended goes. What runs stays: the number of running handlers has its own bound. */
  #makeRoom(): void {
    const { maxKeys = MAX_KEYS, maxBytes = MAX_BYTES, clock, forgot } = this.parts;
    if (this.#entries.size <= maxKeys && this.#bytes <= maxBytes) return;
    for (const [key, entry] of this.#entries) {
      if (!entry.ending) continue;
      this.#delete(key, entry);
      if (entry.until > clock.now()) forgot();
      if (this.#entries.size <= maxKeys && this.#bytes <= maxBytes) return;
    }
  }

  #put(key: string, entry: Entry): void {
    const before = this.#entries.get(key);
    if (before) this.#delete(key, before);
    this.#entries.set(key, entry);
    this.#bytes += entry.bytes;
  }

  #delete(key: string, { bytes }: Entry): void {
    this.#entries.delete(key);
    this.#bytes -= bytes;
  }
}
