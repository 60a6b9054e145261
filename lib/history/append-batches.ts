import { guarded } from '../guarded.js';
import { LogUnavailableError } from './log-errors.js';
import type { Appended } from './room-log.js';

/** What is appended, as the script takes it. */
export interface Append {
  /** Facts and entries of the room, and where its key is kept, if it has one. */
  keys: readonly [string, string, string];
  args: readonly [string, string, string];
  /** Of the message. */
  bytes: number;
}

/** What the script says of one message. */
export type AppendAnswer = [what: string, epoch: string, offset: number, otherRule?: string];

interface Waiting extends Append {
  settle(answer: AppendAnswer): void;
  reject(error: unknown): void;
}

/** One script with so many messages holds up Redis for about a millisecond. */
const MAX_ENTRIES = 32;
const MAX_BYTES = 65_536;
/** What Redis hasn't answered yet, of all rooms. */
const MAX_BYTES_UNDER_WAY = 67_108_864;

/**
 * Messages that are appended in one turn of the event loop and can be appended by one script are, in order: half of what one costs
 * is the call.
 * @typeParam G what one script can be for
 */
export class AppendBatches<G> {
  readonly #open = new Map<G, Waiting[]>();
  #bytesUnderWay = 0;

  constructor(
    /** Runs the script. Rejects with what each message is told. */
    private readonly run: (group: G, batch: readonly Append[]) => Promise<AppendAnswer[]>,
  ) {}

  /** @param read makes the answer of this message; what it throws is its error */
  add(group: G, append: Append, read: (answer: AppendAnswer) => Appended): Promise<Appended> {
    if (this.#bytesUnderWay > MAX_BYTES_UNDER_WAY)
      return Promise.reject(new LogUnavailableError('too much waits for Redis already'));
    this.#bytesUnderWay += append.bytes;
    return new Promise((resolve, reject) => {
      const settle = (answer: AppendAnswer): void => {
        try {
          resolve(read(answer));
        } catch (error) {
          reject(error);
        }
      };
      this.#put(group, { ...append, settle, reject });
    });
  }

  /** What comes after this call must find what was appended before. */
  flush(): void {
    for (const group of this.#open.keys()) this.#send(group);
  }

  #put(group: G, waiting: Waiting): void {
    const batch = this.#open.get(group);
    if (!batch) {
      if (this.#open.size === 0) setImmediate(this.#flushInTime);
      this.#open.set(group, [waiting]);
      return;
    }
    batch.push(waiting);
    if (batch.length >= MAX_ENTRIES || bytesOf(batch) >= MAX_BYTES) this.#send(group);
  }

  #send(group: G): void {
    const batch = this.#open.get(group) as Waiting[];
    this.#open.delete(group);
    void this.#settle(group, batch);
  }

  /** Never rejects. */
  async #settle(group: G, batch: readonly Waiting[]): Promise<void> {
    try {
      const answers = await this.run(group, batch);
      for (const [at, { settle }] of batch.entries()) settle(answers[at] as AppendAnswer);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    } finally {
      this.#bytesUnderWay -= bytesOf(batch);
    }
  }

  readonly #flushInTime = guarded(
    'publishing',
    () => undefined,
    () => this.flush(),
  );
}

const bytesOf = (batch: readonly Append[]): number => batch.reduce((sum, { bytes }) => sum + bytes, 0);
