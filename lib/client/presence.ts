import type { PresentUser } from '../protocol/message.js';
import { fieldsOf } from '../protocol/fields.js';
import type { ClientRoomPresence, ClientRoomPresenceEvents } from './client-room.js';
import { callAll, Listeners } from './listeners.js';

const isUser = (value: unknown): value is PresentUser => typeof fieldsOf(value)['userId'] === 'string';

/** Who is in one room, as the server said last. */
export class Presence extends Map<string, PresentUser> implements ClientRoomPresence {
  total = 0;
  isStale = true;
  declare ownId: string | undefined;
  readonly #listeners = new Listeners<(params: never) => unknown>();
  readonly #report: (error: unknown) => void;
  #epoch: unknown;
  #version: unknown;
  /** The list is known, or was before the connection was lost. */
  #isListed = false;

  constructor(report: (error: unknown) => void) {
    super();
    this.#report = report;
  }

  on<E extends keyof ClientRoomPresenceEvents>(event: E, listener: ClientRoomPresenceEvents[E]): () => void {
    return this.#listeners.add(event, listener);
  }

  /** The room was left, or is joined without presence. */
  forget(): void {
    this.clear();
    this.total = 0;
    this.isStale = true;
    this.#isListed = false;
  }

  /** Takes the answer to a join. Listeners get the differences to the list that was known before. */
  begin(said: unknown): void {
    this.ownId = fieldsOf(said)['ownId'] as string | undefined;
    if (!said) return this.forget();
    this.isStale = false;
    this.#epoch = undefined;
    this.hear(said);
  }

  /** Takes what the server says: everybody, what has changed, or only how many there are. */
  hear(said: unknown): void {
    const { epoch, version, total, users, updated, joined, left } = fieldsOf(said);
    // Before the answer to the join, or older than it.
    if (this.isStale || (epoch === this.#epoch && (version as number) < (this.#version as number))) return;
    [this.#epoch, this.#version] = [epoch, version];
    const isDifference = Array.isArray(joined);
    const wasListed = this.#isListed;
    this.#isListed = isDifference || Array.isArray(users);
    const before = new Map(this);
    if (!isDifference) this.clear();
    for (const userId of [left].flat()) this.delete(userId as string);
    const news = [users, updated, joined].flat().filter(isUser);
    for (const user of news) this.set(user.userId, user);
    this.total = this.#isListed ? this.size : Number(total);
    if (wasListed && this.#isListed) {
      for (const [userId, user] of before) if (!this.has(userId)) this.#tell('left', user);
      for (const user of news) {
        const known = before.get(user.userId);
        if (!known) this.#tell('joined', user);
        else if (JSON.stringify(known.data) !== JSON.stringify(user.data)) this.#tell('updated', user);
      }
    }
    if (!isDifference) this.#tell('synced', { total: this.total });
  }

  #tell(event: keyof ClientRoomPresenceEvents, params: object): void {
    callAll(this.#listeners.of(event), this.#report, params as never);
  }
}
