import { CancelledError, RoomForbiddenError } from '../errors.js';
import type { Origin } from './client-changes.js';

/** A join that waits for a hook, a user or a store. */
export class JoinUnderWay {
  #refusal: Error | undefined;

  constructor(
    readonly clientId: string,
    readonly roomName: string,
    readonly origin: Origin,
  ) {}

  /** The client left the room, or was removed from it. */
  left(origin: Origin): void {
    this.#refusal = this.origin === 'asked' && origin === 'here' ? new RoomForbiddenError() : new CancelledError();
  }

  /**
   * Call it after a wait, before the client is let in.
   * @throws {RoomForbiddenError} server code removed the client meanwhile @throws {CancelledError} it left by itself
   */
  throwIfLeft(): void {
    if (this.#refusal) throw this.#refusal;
  }
}

/** The joins of this node that aren't done yet. A client that leaves a room, or is removed from it, isn't let in by an earlier join. */
export class JoinsUnderWay {
  readonly #ofClient = new Map<string, Set<JoinUnderWay>>();

  begin(clientId: string, roomName: string, origin: Origin): JoinUnderWay {
    const join = new JoinUnderWay(clientId, roomName, origin);
    const joins = this.#ofClient.get(clientId) ?? new Set();
    this.#ofClient.set(clientId, joins.add(join));
    return join;
  }

  end(join: JoinUnderWay): void {
    const joins = this.#ofClient.get(join.clientId);
    if (joins?.delete(join) && joins.size === 0) this.#ofClient.delete(join.clientId);
  }

  /** @param roomName left out: all rooms */
  left(clientId: string, origin: Origin, roomName?: string): void {
    for (const join of this.#ofClient.get(clientId) ?? [])
      if (roomName === undefined || join.roomName === roomName) join.left(origin);
  }
}
