import type { Clock } from '../clock.js';
import { type Failed, guarded } from '../guarded.js';
import { errorOf } from '../protocol/thrown.js';
import { ListSnapshot, type SnapshotLimits } from './list-snapshot.js';
import { OutgoingMessage } from '../outbound/outgoing-message.js';

/** The maximum number of bytes that are spent on the list in a second. A push costs its size times the number of receivers. */
const BYTES_PER_SECOND = 1_048_576;
/** A list of up to this many bytes is always pushed as a whole. */
const SMALL_BYTES = 4_096;
/** After this time, the list is offered again to sockets that had no room for it, in ms. */
const RETRY_MS = 1_000;
const PLACE = 'the client list';

export interface ClientListLimits extends SnapshotLimits {
  readonly publicFields: readonly string[];
  readonly minIntervalMs: number;
}

export interface ClientListParts {
  readonly clients: { readonly size: number; getClients(): Iterable<object> };
  /** Clients of this node whose hooks have finished. */
  receivers(): Iterable<{ readonly clientId: string; offer(message: OutgoingMessage): boolean }>;
  readonly clock: Pick<Clock, 'now' | 'after'>;
  readonly failed: Failed;
}

/** Gets the changes of clients. */
export interface ClientListChanges {
  /** @param isWanted pushes the list even if nothing has changed. @default false */
  changed(event?: string, isWanted?: boolean): void;
  /** Whether the list shows one of these keys of a client. */
  shows(keys: Iterable<string>): boolean;
}

/** For a server that pushes no list. */
export const NO_LIST: ClientListChanges = { changed: () => undefined, shows: () => false };

/**
 * Pushes the public client list after changes. All changes of an interval go out together, and after a large push the
 * next one waits longer: clients that come and go can't make it expensive.
 * A large list is pushed as a whole to those that don't have it yet, and as changes to the others. It only goes to
 * sockets with nothing waiting, so it never closes a slow client. Such a client gets the whole list later.
 */
export class ClientList implements ClientListChanges {
  #cancelSend: (() => void) | undefined;
  #event = 'updated';
  #isWanted = false;
  #quietUntil = 0;
  /** The last list that was pushed. */
  #pushed: ListSnapshot | undefined;
  /** The clients that have it. */
  #holders: ReadonlySet<string> = new Set();
  readonly #onTimer: () => void;
  readonly #failed = (error: unknown): void => this.parts.failed(errorOf(error), PLACE);

  constructor(
    private readonly options: ClientListLimits,
    private readonly parts: ClientListParts,
  ) {
    this.#onTimer = guarded(PLACE, parts.failed, () => this.#send());
  }

  changed(event = 'updated', isWanted = false): void {
    this.#event = event;
    this.#isWanted ||= isWanted;
    this.#schedule(this.options.minIntervalMs);
  }

  shows(keys: Iterable<string>): boolean {
    for (const key of keys) if (this.options.publicFields.includes(key)) return true;
    return false;
  }

  stop(): void {
    this.#cancelSend?.();
    this.#cancelSend = undefined;
    this.#pushed = undefined;
    this.#holders = new Set();
  }

  #schedule(waitMs: number): void {
    const { clock } = this.parts;
    this.#cancelSend ??= clock.after(Math.max(waitMs, this.#quietUntil - clock.now()), this.#onTimer);
  }

  #send(): void {
    this.#cancelSend = undefined;
    const isWanted = this.#isWanted;
    this.#isWanted = false;
    const { publicFields } = this.options;
    const now = ListSnapshot.of(this.parts.clients, this.options, this.#event, this.#failed);
    const changes = isWanted ? undefined : this.#changesTo(now);
    const isKnown = !isWanted && this.#pushed !== undefined && now.equals(this.#pushed);
    const usesChanges = changes !== undefined && now.bytes > SMALL_BYTES && publicFields.includes('clientId');
    const whole = new OutgoingMessage(now.toJSON());
    const part = usesChanges && changes.length < now.bytes / 2 ? new OutgoingMessage(changes) : whole;

    const holders = new Set<string>();
    let sentBytes = 0;
    let isMissed = false;
    for (const receiver of this.parts.receivers()) {
      const hasLast = this.#holders.has(receiver.clientId);
      const message = hasLast ? part : whole;
      if (hasLast && isKnown) holders.add(receiver.clientId);
      else if (receiver.offer(message)) {
        holders.add(receiver.clientId);
        sentBytes += message.payload.length;
      } else isMissed = true;
    }
    this.#pushed = now;
    this.#holders = holders;
    this.#quietUntil = this.parts.clock.now() + (sentBytes / BYTES_PER_SECOND) * 1_000;
    if (isMissed) this.#schedule(Math.max(RETRY_MS, this.options.minIntervalMs));
  }

  #changesTo(now: ListSnapshot): string | undefined {
    return this.#pushed && now.changesSince(this.#pushed);
  }
}
