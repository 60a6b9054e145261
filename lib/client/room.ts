import type { RoomPosition } from '../protocol/message.js';
import { fieldsOf } from '../protocol/fields.js';
import type {
  ClientRoom,
  ClientRoomEvents,
  ClientRoomOptions,
  ClientRoomState,
  JoinedRoom,
  JoinRoomDetails,
  JoinRoomOptions,
  RoomPresenceOptions,
  RoomPublishOptions,
  RoomStart,
} from './client-room.js';
import { callAll, Listeners } from './listeners.js';
import { newKey } from './new-key.js';
import { Presence } from './presence.js';
import type { RequestOptions } from './client-options.js';

type RoomRequest = JoinRoomDetails & Omit<RoomStart, 'since'> & RoomPresenceOptions;

export interface RoomOwner {
  join(room: Room, details: JoinRoomOptions, isPatient: boolean): Promise<JoinedRoom>;
  leave(room: Room): Promise<void>;
  /** Sends one request of type `system`. */
  ask(action: string, data: object, options?: RequestOptions): Promise<unknown>;
  readonly report: (error: unknown) => void;
}

/** What a client knows of a room. Its owner moves it from state to state. */
export class Room implements ClientRoom {
  readonly options: ClientRoomOptions = {};
  declare readonly presence: Presence;
  declare position: RoomPosition | undefined;
  /** It is joined again after a reconnect. */
  isMember = false;
  /** `join()` waits until the server accepts, or refuses for good. */
  isPatient = false;
  /** `loadState` has said the position. */
  isLoaded = false;
  /** Calls of `loadState` since the room was live. */
  loads = 0;
  /** Counts requests to join, and whatever makes their answers late. */
  turn = 0;
  #state: ClientRoomState = 'idle';
  #request: RoomRequest = {};
  /** What the server was asked for last. */
  #asked: RoomRequest = {};
  #joins: ((outcome: JoinedRoom | Promise<never>) => void)[] = [];
  readonly #owner: RoomOwner;
  readonly #listeners = new Listeners<(...args: unknown[]) => unknown>();

  constructor(
    readonly name: string,
    owner: RoomOwner,
  ) {
    this.#owner = owner;
    this.presence = new Presence(owner.report);
  }

  get state(): ClientRoomState {
    return this.#state;
  }

  set state(state: ClientRoomState) {
    if (state === this.#state) return;
    this.#state = state;
    this.emit('state', { state });
  }

  get isWanted(): boolean {
    return this.#state !== 'idle' && this.#state !== 'left';
  }

  get mustLoad(): boolean {
    return !!this.options.loadState && !this.position && !this.isLoaded;
  }

  /** What is published comes again after the answer to the request to join, and mustn't be handled twice. */
  get isBehind(): boolean {
    return this.isWanted && this.#state !== 'live' && !!(this.position ?? this.options.loadState);
  }

  join(details: JoinRoomOptions = {}): Promise<JoinedRoom> {
    return this.#owner.join(this, details, true);
  }

  leave(): Promise<void> {
    return this.#owner.leave(this);
  }

  async updatePresence(presenceData: unknown): Promise<void> {
    if (this.#state === 'live') await this.#tellOthers(presenceData, false);
    this.#request = { ...this.#request, presenceData };
  }

  async publish(data: unknown, options: RoomPublishOptions = {}): Promise<Partial<RoomPosition>> {
    const { retry, key = retry ? newKey() : undefined, echo } = options;
    const reply = await this.#owner.ask(
      'publish',
      { roomName: this.name, data, key, echo },
      retry ? { retry, key } : {},
    );
    return fieldsOf(fieldsOf(reply)['data']);
  }

  on<E extends keyof ClientRoomEvents>(event: E, listener: ClientRoomEvents[E]): () => void {
    return this.#listeners.add(event, listener as (...args: unknown[]) => unknown);
  }

  emit(event: keyof ClientRoomEvents, ...args: unknown[]): void {
    callAll(this.#listeners.of(event), this.#owner.report, ...args);
  }

  /** Asked to join by the application. */
  wait(details: RoomRequest, position: RoomPosition | undefined, isPatient: boolean): Promise<JoinedRoom> {
    this.#request = details;
    this.position = position;
    this.isPatient = isPatient;
    const joined = new Promise<JoinedRoom>((resolve) => this.#joins.push(resolve));
    if (!this.isMember) this.state = 'joining';
    return joined;
  }

  /** It is about to be asked for. */
  begin(): void {
    if (this.#state !== 'resetting') this.state = this.isMember ? 'resuming' : 'joining';
  }

  /** From now on only the answer to this request counts. @returns what is asked for */
  ask(): object {
    this.turn += 1;
    this.#asked = this.#request;
    return { ...this.#request, since: this.position, roomName: this.name };
  }

  /** @param said what the reply says about who is there */
  joined(said: unknown): void {
    this.isMember = true;
    this.presence.begin(said);
    const { presenceData } = this.#request;
    if (presenceData !== this.#asked.presenceData) this.#tellOthers(presenceData, true).catch(this.#owner.report);
  }

  /** @param retry waits until requests may be sent, which is after the rooms were joined again */
  async #tellOthers(data: unknown, retry: boolean): Promise<void> {
    await this.#owner.ask('updatePresence', { roomName: this.name, data }, { retry });
  }

  /** @returns whether somebody waits for it */
  settle(outcome: JoinedRoom | Error): boolean {
    const joins = this.#joins.splice(0);
    for (const resolve of joins) resolve(outcome instanceof Error ? Promise.reject(outcome) : outcome);
    return joins.length > 0;
  }
}
