import type { ConnectedClient } from '../decorators/connected-client.js';
import type { Clock } from '../clock.js';
import { presenceIdOfUser } from '../connection/session.js';
import { withinMs } from '../deadline.js';
import { encode, keepable } from '../json-value.js';
import type { LocalDelivery } from '../outbound/local-delivery.js';
import type { RoomViews } from './room-views.js';
import type { NodeShares } from './node-shares.js';
import { PresenceDataTooLargeError } from './presence-errors.js';
import type { RoomPresence } from './presence-frames.js';
import type { PresenceRule, PresenceRules } from './presence-options.js';
import type { PresenceStore, StoredUser } from './presence-store.js';
import type { PresentUser } from './room-view.js';
import type { Steps } from '../steps.js';

/** What a request to join says about presence. */
export interface PresenceRequest {
  /** What the member wants to know about the others: who they are, only how many, or nothing. Undefined: as before. */
  presence?: boolean | 'count' | undefined;
  /** What others see of it. */
  presenceData?: unknown;
}

export interface PresenceParts {
  rules: PresenceRules;
  store: Pick<PresenceStore, 'read'>;
  shares: NodeShares;
  views: RoomViews;
  local: Pick<LocalDelivery, 'sessionOf'>;
  steps: Pick<Steps, 'each'>;
  clock: Clock;
}

/** How long a join waits for the store to know of earlier ones, in ms. */
const HEARD_MS = 1_000;

/** A connection that ended, and whose rooms don't all know it yet. */
interface Ending {
  readonly userId: string;
  /** Nobody waits for the client to come back. */
  isForGood: boolean;
  done: Promise<void>;
}

/**
 * Who is in rooms with presence, as users: one entry for each user and room, however many connections it has. Every member is
 * present, whatever it wants to hear.
 */
export class Presence {
  /** By client. */
  readonly #endings = new Map<string, Ending>();

  constructor(private readonly parts: PresenceParts) {}

  ruleOf(room: string): PresenceRule | undefined {
    return this.parts.rules.of(room);
  }

  /** A client of this node joined a room. */
  joined(client: ConnectedClient, room: string): void {
    if (this.ruleOf(room)) this.parts.shares.open(room).enter(client.clientId, idOf(client));
  }

  /** It left a room for good: by itself, or because server code took it out. */
  left(clientId: string, room: string): void {
    this.parts.views.remove(clientId, room);
    this.parts.shares.find(room)?.leave(clientId);
  }

  /**
   * The connection of a client ended, or is about to. It may have been in thousands of rooms: they hear it in steps.
   * @param isForGood nobody waits for the client to come back
   */
  ended(client: ConnectedClient, rooms: readonly string[], isForGood: boolean): void {
    const { clientId } = client;
    const { shares, views, steps } = this.parts;
    const before = this.#endings.get(clientId); // it was told to go, and may have joined more rooms since
    const ending: Ending = {
      userId: idOf(client),
      isForGood: isForGood || !!before?.isForGood,
      done: Promise.resolve(),
    };
    this.#endings.set(clientId, ending);
    const told = steps.each(rooms, 'the presence of a room', (room) => {
      views.forget(clientId, room);
      const share = shares.find(room);
      if (ending.isForGood) share?.leave(clientId);
      else share?.lose(clientId);
    });
    ending.done = Promise.all([before?.done, told]).then(() => {
      if (this.#endings.get(clientId) === ending) this.#endings.delete(clientId);
    });
  }

  /** Resolves when all rooms know of the connections that ended before. */
  async settled(): Promise<void> {
    await Promise.all(Array.from(this.#endings.values(), ({ done }) => done));
  }

  /** A user was kicked. Its connections are closed by others; those in their grace end here. */
  dismissUser(userId: string | number): void {
    const presenceId = presenceIdOfUser(userId);
    for (const ending of this.#endings.values()) if (ending.userId === presenceId) ending.isForGood = true;
    this.parts.shares.endGraces(presenceId);
  }

  /** It is somebody else now: it has another user, or sent its session. */
  identified(client: ConnectedClient): void {
    const id = idOf(client);
    for (const room of client.rooms) {
      if (!this.ruleOf(room)) continue;
      this.parts.shares.find(room)?.enter(client.clientId, id);
      this.parts.views.identified(client.clientId, room, id);
    }
  }

  /** The data as others will see it. @throws {PresenceDataTooLargeError} @throws {NotSerializableError} */
  keepable(room: string, data: unknown): unknown {
    const rule = this.ruleOf(room);
    if (!rule || data === undefined) return undefined;
    const kept = keepable(data, 'presenceData');
    const bytes = Buffer.byteLength(encode(kept));
    if (bytes > rule.dataBytes) throw new PresenceDataTooLargeError(bytes, rule.dataBytes);
    return kept;
  }

  /**
   * Resolves when this node knows who is in the room: also of those here whose joins were answered before, unless the store takes
   * long. Call `release()` later, even if this rejects.
   */
  async hold(room: string): Promise<void> {
    const { shares, views, clock } = this.parts;
    await views.hold(room);
    const share = shares.find(room);
    if (share)
      await withinMs(
        clock,
        HEARD_MS,
        views.heard(room, () => share.said()),
      );
  }

  release(room: string): void {
    this.parts.views.release(room);
  }

  /**
   * A client has just joined. If it wants to know about the others, the room must be held.
   * @returns what its reply says about the others
   */
  admit(client: ConnectedClient, room: string, { presence, presenceData }: PresenceRequest): RoomPresence | undefined {
    const { shares, views, local } = this.parts;
    const { clientId } = client;
    const userId = idOf(client);
    const share = shares.find(room);
    if (presenceData !== undefined) share?.update(clientId, encode(presenceData));
    if (presence === false) views.remove(clientId, room);
    if (presence !== true && presence !== 'count') return undefined;
    const isNew = share?.isUnsaid(clientId) ?? true;
    const seen = views.add(clientId, room, { userId, hears: presence, data: presenceData, isNew });
    return local.sessionOf(clientId) === undefined ? seen : { ...seen, ownId: userId };
  }

  /** @returns false if the client isn't in the room @throws {PresenceDataTooLargeError} @throws {NotSerializableError} */
  update(clientId: string, room: string, data: unknown): boolean {
    const kept = this.keepable(room, data ?? null);
    return this.parts.shares.find(room)?.update(clientId, encode(kept)) ?? false;
  }

  /** Everybody in the room, in the whole cluster. @throws {PresenceUnavailableError} */
  async read(room: string): Promise<{ total: number; users: PresentUser[] }> {
    await this.parts.shares.find(room)?.flush(); // a join of this node may have been answered already
    const { users = new Map<string, StoredUser>() } = await this.parts.store.read(room);
    return {
      total: users.size,
      users: Array.from(users, ([userId, { connections, data }]) => ({
        userId,
        data: JSON.parse(data) as unknown,
        connections,
      })),
    };
  }
}

/** Who a client of this node is for others. */
const idOf = ({ presenceId }: ConnectedClient): string => presenceId as string;
