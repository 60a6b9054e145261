import { ConnectionError, InvalidStateError, RoomNameInvalidError, TimeoutError } from '../errors.js';
import type { RoomPosition } from '../protocol/message.js';
import { isRoomName } from '../protocol/names.js';
import { fieldsOf } from '../protocol/fields.js';
import { BadFrameError } from './client-errors.js';
import type { EventSink } from './client-events.js';
import type { ClientRoomOptions, JoinedRoom, JoinRoomOptions } from './client-room.js';
import { readPosition, type ServerMessage } from './greeting.js';
import type { Link } from './link.js';
import { Room, type RoomOwner } from './room.js';
import { delayAfter, pause, readMs, RoomJoins, type RoomJoinsHost } from './room-joins.js';
import type { SocketLike } from './socket-like.js';

type AnyLink = Link<SocketLike>;

/** The rooms of one client. It remembers them over reconnects, and the last place seen in each. */
export class ClientRooms implements RoomOwner, RoomJoinsHost {
  /** In the order they were joined last: a server with one room per client keeps the last. */
  readonly #rooms = new Map<string, Room>();
  readonly #events: EventSink<SocketLike>;
  #link: AnyLink | undefined;
  #joins: RoomJoins | undefined;
  /** The application may send. */
  #isOpen = false;

  declare readonly report: (error: unknown) => void;

  constructor(
    events: EventSink<SocketLike>,
    readonly requestTimeoutMs: number,
    readonly ask: RoomOwner['ask'],
  ) {
    this.#events = events;
    this.report = events.report;
  }

  get names(): ReadonlySet<string> {
    return new Set([...this.#rooms.values()].filter((room) => room.isMember).map((room) => room.name));
  }

  /** @throws {RoomNameInvalidError} */
  get(name: string, options: ClientRoomOptions = {}): Room {
    if (!isRoomName(name)) throw new RoomNameInvalidError();
    const room = this.#rooms.get(name) ?? new Room(name, this);
    this.#rooms.set(name, room);
    Object.assign(room.options, options);
    return room;
  }

  find(name: unknown): Room | undefined {
    return this.#rooms.get(name as string);
  }

  /** @param isPatient not to give up at the first failure */
  async join(room: Room, { since, ...details }: JoinRoomOptions, isPatient: boolean): Promise<JoinedRoom> {
    const { name, options } = room;
    if (this.#isOld(room)) throw new InvalidStateError('The room is old.');
    this.#rooms.delete(name);
    this.#rooms.set(name, room);
    const { since: start, ...history } = options.history ?? {};
    const { presence, presenceData } = options;
    const joined = room.wait(
      { presence, presenceData, ...history, ...details },
      since ?? room.position ?? start,
      isPatient,
    );
    this.#bring(room);
    return joined;
  }

  async leave(room: Room): Promise<void> {
    const { name } = room;
    if (this.#isOld(room)) return; // it was left before
    this.#drop(room, 'left');
    await this.#joins?.leave(name);
  }

  /** Joins the rooms again on a new connection. Resolves when each was tried once; failed ones are retried. */
  restore(link: AnyLink): Promise<void> {
    this.lost();
    this.#link = link;
    this.#joins = new RoomJoins(link, this);
    return this.#joins.bring([...this.#rooms.values()].filter((room) => !room.mustLoad));
  }

  opened(): void {
    this.#isOpen = true;
    for (const room of this.#rooms.values()) if (room.mustLoad) this.#bring(room);
  }

  lost(error?: Error): void {
    this.#isOpen = false;
    for (const room of this.#rooms.values()) {
      room.turn += 1;
      room.isLoaded = false;
      room.presence.isStale = true;
      if (room.isMember) room.state = 'suspended';
      else if (room.isWanted && !room.isPatient) this.#drop(room, 'idle', error);
    }
  }

  /** Forgets them all. */
  clear(): void {
    for (const room of this.#rooms.values())
      if (room.isWanted) this.#drop(room, 'left', new ConnectionError('disconnect() was called.'));
  }

  /**
   * Before any handler: one that throws must not have a publication repeated.
   * @returns false for what must not reach a handler
   */
  note({ type, action, data, at }: ServerMessage): boolean {
    const { room: name } = fieldsOf(at);
    if (this.#joins?.leaving.has(name)) return false;
    const published = this.find(name);
    if (published && !this.#moveTo(published, readPosition(at))) return false;
    if (type === 'system' && action === 'at') return false; // the place of a message that this client published itself
    const { roomName, reason, withinMs } = fieldsOf(data);
    const room = this.find(roomName);
    if (type !== 'system' || !room) return true;
    // The server removed this client from a room: the client must not join it again by itself.
    if (action === 'leftRoom') this.#drop(room, 'left');
    else if (action === 'presence') room.presence.hear(data);
    else if (action === 'roomReset') this.#reset(room, reason, readPosition(data), readMs(withinMs) ?? 0);
    return true;
  }

  /** After the handlers of its route. */
  hear({ type, action, data, at }: ServerMessage): void {
    const room = this.find(fieldsOf(at)['room']);
    room?.emit('message', data, { message: { type, action, data }, at });
  }

  joined(room: Room, data: unknown): void {
    const { name, position: since, isLoaded } = room;
    const { history, presence } = fieldsOf(data);
    const { recovered, reason, missed } = fieldsOf(history);
    this.#joins?.leaving.delete(name); // its answer may be lost, but it was handled before
    room.joined(presence);
    // A listener of its presence may have left it.
    if (!room.isMember) return;
    if (since && recovered !== true) this.#reset(room, reason, readPosition(history), 0);
    else {
      room.position ??= readPosition(history);
      room.isLoaded = false;
      room.loads = 0;
      room.state = 'live';
      if (since && !isLoaded) this.#tell(room, 'recovered', { roomName: name, missed: Number(missed) });
    }
    if (room.state === 'live') room.settle({ ...fieldsOf(data), roomName: name });
  }

  failed(room: Room, error: Error, isFinal: boolean): boolean {
    const isAwaited = (isFinal || !room.isPatient) && room.settle(error);
    if (isAwaited ? room.isMember && !isFinal : !isFinal) return true;
    this.#drop(room, isAwaited ? 'idle' : 'left');
    // The server may let it in yet, or have it in since an earlier join.
    if (error instanceof TimeoutError || this.#joins?.leaving.has(room.name)) void this.#joins?.leave(room.name);
    if (!isAwaited && !this.#events.emit('roomLost', { roomName: room.name, error })) this.report(error);
    return false;
  }

  #isOld(room: Room): boolean {
    return (this.#rooms.get(room.name) ?? room) !== room;
  }

  /** Rooms may be joined as soon as there is a connection; `loadState` may use it only when it is open. */
  #bring(room: Room): void {
    if (!room.mustLoad) void this.#joins?.add(room);
    else if (this.#isOpen && room.isWanted) void this.#load(room);
  }

  async #load(room: Room, delayMs = 0): Promise<void> {
    const link = this.#link as AnyLink;
    const turn = (room.turn += 1);
    const isCurrent = (): boolean => room.turn === turn && link.isOpen;
    room.state = room.isMember ? 'resetting' : 'joining';
    await pause(link, delayMs);
    if (!isCurrent()) return;
    room.loads += 1;
    try {
      const { position } = fieldsOf(await room.options.loadState?.());
      if (!isCurrent()) return;
      room.position = readPosition(position);
      room.isLoaded = true;
      this.#bring(room);
    } catch (error) {
      if (!isCurrent()) return;
      this.report(error);
      void this.#load(room, delayAfter(room.loads));
    }
  }

  #moveTo(room: Room, position: RoomPosition | undefined): boolean {
    if (room.isBehind) return false;
    if (room.isMember && position && room.position && position.epoch !== room.position.epoch) {
      this.report(new BadFrameError(`"${room.name}" has a new epoch.`));
      room.state = 'resuming';
      void this.#joins?.bring([room], 0, delayAfter(0));
      return false;
    }
    room.position = position ?? room.position;
    return true;
  }

  #reset(room: Room, reason: unknown, position: RoomPosition | undefined, withinMs: number): void {
    room.position = position;
    if (!room.isMember) return; // server code put the client into it
    room.turn += 1;
    room.isLoaded = false;
    const { loadState } = room.options;
    if (loadState) room.position = undefined;
    room.state = loadState ? 'resetting' : 'live';
    this.#tell(room, 'reset', { roomName: room.name, reason: String(reason), position, withinMs });
    if (room.state === 'resetting' && this.#isOpen)
      void this.#load(room, room.loads > 0 ? delayAfter(room.loads) : Math.random() * withinMs);
  }

  #tell(room: Room, event: 'recovered' | 'reset', params: object): void {
    if (!room.isWanted) return; // a listener of its state has left it
    room.emit(event, params);
    this.#events.emit(event, params as never);
  }

  /** @param error what joins under way reject with; without one they resolve, as the application itself has left */
  #drop(room: Room, state: 'idle' | 'left', error?: Error): void {
    room.turn += 1;
    room.position = undefined;
    room.isMember = room.isLoaded = false;
    room.loads = 0;
    room.presence.forget();
    this.#rooms.delete(room.name);
    room.settle(error ?? { roomName: room.name });
    room.state = state;
  }
}
