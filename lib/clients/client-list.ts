import { monotonicMs } from '../clock.js';
import { type Failed, guarded } from '../guarded.js';
import { errorOf } from '../protocol/thrown.js';
import { ListSnapshot, type SnapshotLimits } from './list-snapshot.js';
import { OutgoingMessage } from '../outbound/outgoing-message.js';

/** A push of the list costs its size times its receivers: no more than this many bytes a second are spent on it. */
const BYTES_PER_SECOND = 1_048_576;
/** A list of up to so many bytes is always pushed as a whole. */
const SMALL_BYTES = 4_096;
/** Until those that had no room for the list are offered it again. */
const RETRY_MS = 1_000;
const PLACE = 'the client list';

export interface ClientListOptions extends SnapshotLimits {
  readonly publicFields: readonly string[];
  readonly minIntervalMs: number;
}

export interface ClientListHost {
  readonly clients: { readonly size: number; getClients(): Iterable<object> };
  /** Who may get it: clients of this node whose hooks have let them in. */
  receivers(): Iterable<{ readonly clientId: string; offer(message: OutgoingMessage): boolean }>;
  readonly failed: Failed;
}

/** What a change of a client means to the list. */
export interface ClientListChanges {
  /** @param isWanted pushed to everybody though nothing may have changed. @default false */
  changed(event?: string, isWanted?: boolean): void;
  /** Whether the list shows one of these keys of a client. */
  shows(keys: Iterable<string>): boolean;
}

/** Of a server that pushes none. */
export const NO_LIST: ClientListChanges = { changed: () => undefined, shows: () => false };

/**
 * Pushes the public client list when it changed. Changes of one interval go out together, and the larger a push is, the
 * longer the next one waits: the cost is bounded in time, however many clients come and go.
 *
 * A large list is pushed as a whole to those that don't have it yet, and as what changed to the others. Nobody is closed for
 * it: it goes only to sockets with nothing waiting, and a client that is behind gets the whole list later.
 */
export class ClientList implements ClientListChanges {
  #timer: NodeJS.Timeout | undefined;
  #event = 'updated';
  #isWanted = false;
  #quietUntil = 0;
  /** What was pushed last. */
  #pushed: ListSnapshot | undefined;
  /** Who has that. */
  #holders: ReadonlySet<string> = new Set();
  readonly #onTimer: () => void;
  readonly #failed = (error: unknown): void => this.host.failed(errorOf(error), PLACE);

  constructor(
    private readonly options: ClientListOptions,
    private readonly host: ClientListHost,
  ) {
    this.#onTimer = guarded(PLACE, host.failed, () => this.#send());
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
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#pushed = undefined;
    this.#holders = new Set();
  }

  #schedule(waitMs: number): void {
    this.#timer ??= setTimeout(this.#onTimer, Math.max(waitMs, this.#quietUntil - monotonicMs())).unref();
  }

  #send(): void {
    this.#timer = undefined;
    const isWanted = this.#isWanted;
    this.#isWanted = false;
    const { publicFields } = this.options;
    const now = ListSnapshot.of(this.host.clients, this.options, this.#event, this.#failed);
    const changes = isWanted ? undefined : this.#changesTo(now);
    const isKnown = !isWanted && this.#pushed !== undefined && now.equals(this.#pushed);
    const usesChanges = changes !== undefined && now.bytes > SMALL_BYTES && publicFields.includes('clientId');
    const whole = new OutgoingMessage(now.toJSON());
    const part = usesChanges && changes.length < now.bytes / 2 ? new OutgoingMessage(changes) : whole;

    const holders = new Set<string>();
    let sentBytes = 0;
    let isMissed = false;
    for (const receiver of this.host.receivers()) {
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
    this.#quietUntil = monotonicMs() + (sentBytes / BYTES_PER_SECOND) * 1_000;
    if (isMissed) this.#schedule(Math.max(RETRY_MS, this.options.minIntervalMs));
  }

  #changesTo(now: ListSnapshot): string | undefined {
    return this.#pushed && now.changesSince(this.#pushed);
  }
}
