import { RemoteError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { fieldsOf } from '../protocol/fields.js';
import { MessageTooLargeError } from './client-errors.js';
import type { Link } from './link.js';
import type { Room } from './room.js';
import type { SocketLike } from './socket-like.js';

/** Rooms that a server accepts in one `system/joinRooms`. */
const MAX_BATCH = 100;
/** Requests for rooms that may be under way before others are collected. */
const MAX_SINGLES = 8;
const MIN_DELAY_MS = 1_000;
const MAX_DELAY_MS = 30_000;

/** After these refusals the room is given up. After other errors it is tried again. */
const FINAL: readonly string[] = [
  ErrorCode.RoomForbidden,
  ErrorCode.RoomNameInvalid,
  ErrorCode.RoomLimit,
  ErrorCode.Forbidden,
  ErrorCode.NotFound,
  ErrorCode.BadRequest,
  ErrorCode.ValidationFailed,
  ErrorCode.PresenceDataTooLarge,
];

export interface RoomJoinsHost {
  requestTimeoutMs: number;
  /** Called for the first failure of rooms on this connection. They will be tried again. */
  readonly report: (error: unknown) => void;
  /** A room was joined; `data` is the server's reply. */
  joined(room: Room, data: unknown): void;
  find(name: string): Room | undefined;
  /** @param isFinal the server refuses for good @returns whether to try again */
  failed(room: Room, error: Error, isFinal: boolean): boolean;
}

/** A request for a room. It counts as long as the room's turn is the same, and nobody has left it. */
interface Asked {
  room: Room;
  turn: number;
}

const ofNow = (room: Room): Asked => ({ room, turn: room.turn });
const isCurrent = ({ room, turn }: Asked): boolean => room.turn === turn && room.isWanted;

/** Joins rooms on one connection, many in one frame, until all are joined or the connection ends. */
export class RoomJoins {
  readonly #link: Link<SocketLike>;
  readonly #host: RoomJoinsHost;
  /** Rooms that the server may have this client in, which has left them: what still comes of them is dropped. */
  readonly leaving = new Set<unknown>();
  #batchSize = MAX_BATCH;
  #due: Room[] = [];
  #singles = 0;

  constructor(link: Link<SocketLike>, host: RoomJoinsHost) {
    this.#link = link;
    this.#host = host;
  }

  /** Few rooms are asked for at once. Further ones wait for an answer and share frames, so that a page with many keeps to the rate. */
  async add(room: Room): Promise<void> {
    this.#due.push(room);
    if (this.#singles++ < MAX_SINGLES) while (this.#due.length > 0) await this.bring(this.#due.splice(0));
    this.#singles--;
  }

  /**
   * Resolves when each room was tried once, or the link has ended. Never rejects.
   * @param rooms those that nobody wants are skipped
   * @param delayMs before that. Only rooms that are still in the same state are tried
   */
  async bring(rooms: readonly Room[], tries = 0, delayMs = 0): Promise<void> {
    const due = rooms.map(ofNow);
    if (delayMs > 0) await pause(this.#link, delayMs);
    while (due.length > 0 && this.#link.isOpen) {
      const batch = due.splice(0, this.#batchSize);
      // A listener of the state may leave any of them.
      for (const asked of batch) if (isCurrent(asked)) asked.room.begin();
      const wanted = batch.filter(isCurrent);
      if (wanted.length > 0) due.unshift(...(await this.#join(wanted, tries)));
    }
  }

  /** Resolves when the server has heard it, when the room is wanted again, or at the end of the connection. */
  async leave(name: string): Promise<void> {
    this.leaving.add(name);
    while (this.#link.isOpen && this.leaving.has(name) && !this.#host.find(name)?.isWanted)
      try {
        const { requestTimeoutMs: timeoutMs } = this.#host;
        await this.#link.request({ type: 'system', action: 'leaveRoom', data: { roomName: name } }, { timeoutMs });
        this.leaving.delete(name);
      } catch (error) {
        await pause(this.#link, readWait((error as RemoteError).details) ?? delayAfter(0));
      }
  }

  /** @returns what has to be asked for in smaller frames */
  async #join(batch: readonly Asked[], tries: number): Promise<Asked[]> {
    const rooms = batch.map(({ room }) => room.ask());
    const left = new Map(batch.map(({ room }) => [room.name, ofNow(room)]));
    const isOne = rooms.length === 1;
    const message = isOne ? { action: 'joinRoom', data: rooms[0] } : { action: 'joinRooms', data: { rooms } };
    try {
      const { requestTimeoutMs: timeoutMs } = this.#host;
      const answered = (part: unknown): void => {
        const { roomName = isOne && batch[0]?.room.name, error, data } = fieldsOf(part);
        const asked = left.get(roomName as string);
        if (!asked) return;
        left.delete(roomName as string);
        const { code, error: sentence, details } = fieldsOf(error);
        if (error) void this.#failed([asked], new RemoteError(String(code), String(sentence), details), tries);
        else if (isCurrent(asked)) this.#host.joined(asked.room, data);
        // It was left before this join was decided, and may be joined again since then.
        else if (!this.#host.find(asked.room.name)?.isMember) void this.leave(asked.room.name);
      };
      await this.#link.ask({ type: 'system', ...message }, { timeoutMs }, answered).ended;
      throw new RemoteError(ErrorCode.Unavailable, 'The server is silent.'); // about those that are left
    } catch (error) {
      // Names may be long, and a server may accept little at once.
      if (error instanceof MessageTooLargeError && !isOne) {
        this.#batchSize = Math.ceil(rooms.length / 2);
        return [...left.values()];
      }
      await this.#failed(left.values(), error as Error, tries);
    }
    return [];
  }

  /** @returns when the next frame may be sent */
  async #failed(left: Iterable<Asked>, thrown: Error, tries: number): Promise<void> {
    if (!this.#link.isOpen) return;
    const { code, details } = thrown as RemoteError;
    const isFinal = FINAL.includes(code); // only the server says these
    const rooms = [...left].filter((asked) => isCurrent(asked) && this.#host.failed(asked.room, thrown, isFinal));
    if (rooms.length === 0) return;
    const isEarly = code === ErrorCode.RateLimited;
    if (tries === 0 && !isEarly) this.#host.report(thrown);
    const delayMs = isEarly ? (readWait(details) ?? MIN_DELAY_MS) : delayAfter(tries);
    void this.bring(rooms.map(({ room }) => room), tries + 1, delayMs); // prettier-ignore
    if (isEarly) await pause(this.#link, delayMs);
  }
}

/** Ends early with the link, so that no timer outlives it: as a request that nobody answers. @param delayMs @default until its end */
export async function pause(link: Link<SocketLike>, delayMs?: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const begin = (id: number): void => {
    if (delayMs !== undefined) timer = setTimeout(() => link.find(id)?.settle(), delayMs);
  };
  await link.begin('', {}, begin, () => undefined).ended.catch(() => undefined);
  clearTimeout(timer);
}

/** At least half of a limit that doubles: what fails at once must not be tried again at once. */
export function delayAfter(tries: number): number {
  return MIN_DELAY_MS / 2 + Math.random() * Math.min(MAX_DELAY_MS, MIN_DELAY_MS * 2 ** tries);
}

/** How long the server asks to wait, if it says so. */
export const readWait = (details: unknown): number | undefined => readMs(fieldsOf(details)['retryAfterMs']);

/** Reads a time that the server says. A longer one than we would wait ourselves isn't followed. */
export const readMs = (value: unknown): number | undefined =>
  typeof value === 'number' && value >= 0 ? Math.min(value, MAX_DELAY_MS) : undefined;
