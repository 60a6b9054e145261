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
export interface AppendAnswer {
  what: string;
  epoch: string;
  offset: number;
  /** The keys that another program had written: letters, or -. */
  foreign: string;
  otherRule: string;
}

/** @param text what the script has answered: a line for each */
export function readAnswers(text: string): AppendAnswer[] {
  return text.split('\n').map((line) => {
    const [what = '', epoch = '', offset = '', foreign = '', ...otherRule] = line.split(' ');
    return { what, epoch, offset: Number(offset), foreign, otherRule: otherRule.join(' ') };
  });
}

interface Waiting extends Append {
  settle(answer: AppendAnswer): void;
  reject(error: unknown): void;
}

interface Batch {
  readonly all: Waiting[];
  bytes: number;
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
  readonly #open = new Map<G, Batch>();
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
      this.#put(group, { keys: append.keys, args: append.args, bytes: append.bytes, settle, reject });
    });
  }

  /** What comes after this call must find what was appended before. */
  flush(): void {
    for (const group of this.#open.keys()) this.#send(group);
  }

  #put(group: G, waiting: Waiting): void {
    if (this.#open.size === 0) setImmediate(this.#flushInTime);
    let batch = this.#open.get(group);
    if (!batch) this.#open.set(group, (batch = { all: [], bytes: 0 }));
    batch.all.push(waiting);
    batch.bytes += waiting.bytes;
    if (batch.all.length >= MAX_ENTRIES || batch.bytes >= MAX_BYTES) this.#send(group);
  }

  #send(group: G): void {
    const batch = this.#open.get(group) as Batch;
    this.#open.delete(group);
    void this.#settle(group, batch);
  }

  /** Never rejects. */
  async #settle(group: G, { all, bytes }: Batch): Promise<void> {
    try {
      const answers = await this.run(group, all);
      for (const [at, { settle }] of all.entries()) settle(answers[at] as AppendAnswer);
    } catch (error) {
      for (const { reject } of all) reject(error);
    } finally {
      this.#bytesUnderWay -= bytes;
    }
  }

  readonly #flushInTime = guarded(
    'publishing',
    () => undefined,
    () => this.flush(),
  );
}
