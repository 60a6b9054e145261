import { RemoteError, TimeoutError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { backoffDelay } from './backoff.js';
import { MessageTooLargeError } from './client-errors.js';
import { fieldsOf } from './greeting.js';
import type { Link } from './link.js';
import { ReplyStream } from './reply-stream.js';
import type { RoomMemory } from './room-memory.js';
import type { SocketLike } from './socket-like.js';

/** Rooms that a server accepts in one `system/joinRooms`. */
const MAX_BATCH = 100;
/**
 * Without `system/joinRooms`, so many requests go out without a pause. By default, a server accepts 60 messages at once …
 */
const BURST = 25;
/** … and 30 a second. This many ms apart stay below it, and leave room for the application. */
const SPACING_MS = 40;
const MIN_DELAY_MS = 1_000;
const MAX_DELAY_MS = 30_000;

/** After these refusals the room is given up. After other errors it is tried again. */
const FINAL: ReadonlySet<string> = new Set([
  ErrorCode.RoomForbidden,
  ErrorCode.RoomNameInvalid,
  ErrorCode.RoomLimit,
  ErrorCode.Forbidden,
  ErrorCode.NotFound,
  ErrorCode.BadRequest,
  ErrorCode.ValidationFailed,
]);

export interface RejoinOptions {
  requestTimeoutMs: number;
  /** Called for the first failure of a room on this connection. It will be tried again. */
  report(error: unknown): void;
  /** A room was joined; `data` is what the server says of it. */
  joined(roomName: string, data: unknown): void;
  /** The server refuses a room for good. */
  lost(roomName: string, error: Error): void;
}

interface Due {
  /** When to try, by the monotonic clock in ms. */
  at: number;
  tries: number;
}

/** Joins the remembered rooms again on one new connection, until all are joined or the connection ends. */
export class Rejoin {
  /** Resolves when each room was tried once, or the link has ended. Never rejects. */
  readonly triedAll: Promise<void>;
  readonly #link: Link<SocketLike>;
  readonly #rooms: RoomMemory;
  readonly #options: RejoinOptions;
  readonly #due: Map<string, Due>;
  readonly #joinsMany: boolean;
  #batchSize = MAX_BATCH;
  /** Requests that may still be sent without a pause. */
  #burst = BURST;
  #spacingMs = SPACING_MS;
  #resolveTried!: () => void;

  constructor(link: Link<SocketLike>, rooms: RoomMemory, options: RejoinOptions) {
    this.#link = link;
    this.#rooms = rooms;
    this.#options = options;
    this.#due = new Map([...rooms.names].map((roomName) => [roomName, { at: 0, tries: 0 }]));
    this.#joinsMany = link.greeting?.features.includes('joinRooms') ?? false;
    this.triedAll = new Promise((resolve) => (this.#resolveTried = resolve));
    void this.#run();
  }

  /** The application itself has joined or left the room meanwhile. */
  forget(roomName: string): void {
    this.#due.delete(roomName);
  }

  async #run(): Promise<void> {
    while (this.#link.isOpen && this.#due.size > 0) {
      const now = performance.now();
      const names = [...this.#due].filter(([, { at }]) => at <= now).map(([roomName]) => roomName);
      if (names.length === 0) {
        await this.#pause(Math.min(...[...this.#due.values()].map(({ at }) => at)) - now);
        continue;
      }
      await (this.#joinsMany ? this.#joinMany(names.slice(0, this.#batchSize)) : this.#joinOne(names[0] as string));
      if ([...this.#due.values()].every(({ tries }) => tries > 0)) this.#resolveTried();
      if (this.#burst > 0) this.#burst -= 1;
      else await this.#pause(this.#spacingMs);
    }
    this.#resolveTried();
  }

  async #joinOne(roomName: string): Promise<void> {
    const { requestTimeoutMs: timeoutMs } = this.#options;
    const message = { type: 'system', action: 'joinRoom', data: this.#asked(roomName) };
    try {
      const reply = await this.#link.requests.request(message, { timeoutMs });
      this.#due.delete(roomName);
      this.#options.joined(roomName, fieldsOf(reply)['data']);
    } catch (error) {
      this.#failed([roomName], error);
    }
  }

  async #joinMany(names: string[]): Promise<void> {
    const left = new Set(names);
    try {
      for await (const part of this.#ask(names)) {
        const { roomName, error, data } = fieldsOf(part);
        if (typeof roomName !== 'string' || !left.delete(roomName)) continue;
        if (error === undefined) {
          this.#due.delete(roomName);
          this.#options.joined(roomName, data);
        } else this.#failed([roomName], remoteError(error));
      }
      this.#failed([...left], new RemoteError(ErrorCode.Unavailable, 'The server did not answer for this room.'));
    } catch (error) {
      // Names may be long, and a server may accept little at once.
      if (error instanceof MessageTooLargeError && names.length > 1) this.#batchSize = Math.ceil(names.length / 2);
      else this.#failed([...left], error);
    }
  }

  /** Yields the server's answer for each room. Fails when the server is silent for too long. */
  async *#ask(names: string[]): AsyncGenerator {
    const { requestTimeoutMs } = this.#options;
    const data = { rooms: names.map((roomName) => this.#asked(roomName)) };
    const parts = new ReplyStream<unknown>({
      start: (sink) => this.#link.requests.open({ type: 'system', action: 'joinRooms', data }, sink),
      maxBuffered: names.length,
      maxBufferedBytes: Infinity,
    });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const wait = (): void => {
      clearTimeout(timer);
      timer = setTimeout(
        () => parts.cancel(new TimeoutError('A part of the reply', requestTimeoutMs)),
        requestTimeoutMs,
      );
    };
    try {
      wait();
      for await (const part of parts) {
        wait();
        yield part;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #asked(roomName: string): object {
    return { ...this.#rooms.detailsOf(roomName), roomName };
  }

  #failed(names: string[], thrown: unknown): void {
    if (!this.#link.isOpen) return;
    const { code, details } = thrown instanceof RemoteError ? thrown : { code: undefined, details: undefined };
    const retryAfterMs = code === ErrorCode.RateLimited ? readWait(details) : undefined;
    // One message takes that long at the server's rate. A few more refusals would end the connection.
    if (retryAfterMs !== undefined) {
      this.#burst = 0;
      this.#spacingMs = Math.min(MAX_DELAY_MS, Math.max(this.#spacingMs * 1.5, retryAfterMs * 1.5));
    }
    for (const roomName of names) {
      const tries = this.#due.get(roomName)?.tries ?? 0;
      this.#due.delete(roomName);
      if (!this.#rooms.has(roomName)) continue;
      if (code !== undefined && FINAL.has(code)) {
        this.#rooms.forget(roomName);
        this.#options.lost(roomName, thrown as RemoteError);
        continue;
      }
      if (tries === 0 && retryAfterMs === undefined) this.#options.report(thrown);
      const delayMs = retryAfterMs ?? delayAfter(tries);
      this.#due.set(roomName, { at: performance.now() + delayMs, tries: tries + 1 });
    }
  }

  /** Ends early with the link, so that no timer outlives it. */
  async #pause(delayMs: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const over = new Promise<void>((resolve) => (timer = setTimeout(resolve, delayMs)));
    await Promise.race([over, this.#link.ended]);
    clearTimeout(timer);
  }
}

/** At least half of a limit that doubles: a room that fails at once must not be tried again at once. */
function delayAfter(tries: number): number {
  const options = { minDelayMs: MIN_DELAY_MS, maxDelayMs: MAX_DELAY_MS, random: Math.random };
  return MIN_DELAY_MS / 2 + backoffDelay({ ...options, advice: 'reconnect', attempt: tries });
}

function readWait(details: unknown): number {
  const { retryAfterMs } = fieldsOf(details);
  return typeof retryAfterMs === 'number' && retryAfterMs >= 0 ? Math.min(retryAfterMs, MAX_DELAY_MS) : MIN_DELAY_MS;
}

function remoteError(error: unknown): RemoteError {
  const { code, error: sentence, details } = fieldsOf(error);
  return new RemoteError(String(code), String(sentence), details);
}
