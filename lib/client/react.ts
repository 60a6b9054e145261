/** `@scpxl/nestjs-websocket/react`: the client as React hooks. @module react */
import { type RefObject, useCallback, useEffect, useRef, useSyncExternalStore } from 'react';
import type { WebSocketUser } from '../protocol/message.js';
import type { WebSocketClientCore } from './client-core.js';
import type { ClientState } from './client-events.js';
import type {
  ClientRoom,
  ClientRoomEvents,
  ClientRoomOptions,
  ClientRoomState,
  JoinRoomOptions,
} from './client-room.js';
import { Followed, Shared } from './hook-parts.js';
import { nobody, type PresenceState, presenceStoreOf } from './presence-state.js';

export type { PresenceState };

/** The client of a browser, or of Node. */
export type HookClient = Pick<
  WebSocketClientCore,
  'state' | 'clientId' | 'user' | 'connectToServer' | 'disconnect' | 'room'
> & {
  on(event: 'state' | 'reconnecting', listener: (params: { attempt?: number; delayMs?: number }) => void): () => void;
};

/** What a banner shows. */
export interface Connection {
  readonly state: ClientState;
  /** The server's id of this connection. Undefined without one. */
  readonly clientId: string | undefined;
  /** The user as the server authenticated it. Undefined for an anonymous connection. */
  readonly user: Pick<WebSocketUser, 'userId'> | undefined;
  /** While `reconnecting`: the number of the next attempt, from 1, and the wait before it. `client.reconnectingIn` counts down. */
  readonly attempt: number | undefined;
  readonly delayMs: number | undefined;
}

export interface UseRoomOptions extends ClientRoomOptions {
  /** How this client joins, and appears to others. */
  join?: JoinRoomOptions;
  /** Called for each message, as `room.on('message')` is. The newest function counts. */
  onMessage?: ClientRoomEvents['message'];
}

export interface JoinedRoomState {
  readonly state: ClientRoomState;
  /** Why the last join failed. */
  readonly error: Error | undefined;
  /** The handle, for `publish()` and further events. Undefined before the first effect. */
  readonly room: ClientRoom | undefined;
}

const NO_CONNECTION: Connection = {
  state: 'idle',
  clientId: undefined,
  user: undefined,
  attempt: undefined,
  delayMs: undefined,
};
const NO_ROOM: JoinedRoomState = { state: 'idle', error: undefined, room: undefined };

/** The stores of one client. */
class Stores {
  readonly connection = new Followed(NO_CONNECTION);
  readonly #connecting = new Shared();
  readonly #rooms = new Map<string, RoomStore>();
  /** The hooks have made the connection. */
  #isOurs = false;

  constructor(private readonly client: HookClient) {
    this.#look();
    client.on('state', () => this.#look());
    client.on('reconnecting', ({ attempt, delayMs }) => this.#look(attempt, delayMs));
  }

  /** Connects, unless the application has done so. Who connected also disconnects. What was closed for good stays so. */
  connect(): () => void {
    const { client } = this;
    return this.#connecting.use(() => {
      this.#isOurs = client.state === 'idle' || client.state === 'closed';
      if (this.#isOurs) client.connectToServer().catch(nothing); // the state says it
      return () => this.#isOurs && client.disconnect();
    });
  }

  /** To be called in effects only: a render that is never mounted, as on a server, would leave its room here. */
  room(name: string): RoomStore {
    const store = this.#rooms.get(name) ?? new RoomStore(this.client, name, () => this.#rooms.delete(name));
    this.#rooms.set(name, store);
    return store;
  }

  stateOf(name: string): JoinedRoomState {
    return this.#rooms.get(name)?.get() ?? NO_ROOM;
  }

  #look(attempt?: number, delayMs?: number): void {
    const { state, clientId, user } = this.client;
    this.#isOurs &&= state !== 'closed'; // the application makes the next one
    this.connection.set({ state, clientId, user, attempt, delayMs });
  }
}

class RoomStore extends Followed<JoinedRoomState> {
  readonly #joining = new Shared();

  constructor(
    private readonly client: HookClient,
    private readonly name: string,
    /** Called when no component names the room any more. */
    private readonly ended: () => void,
  ) {
    super(NO_ROOM);
  }

  join(latest: RefObject<UseRoomOptions>): () => void {
    const leave = this.#joining.use(() => {
      const end = this.#begin(latest.current);
      return () => {
        end();
        this.ended();
      };
    });
    const stop = this.get().room?.on('message', (...message) => latest.current.onMessage?.(...message));
    return () => {
      stop?.();
      leave();
    };
  }

  #begin({ join, onMessage: _, ...options }: UseRoomOptions): () => void {
    const { client } = this;
    let room: ClientRoom;
    try {
      room = client.room(this.name, options);
    } catch (error) {
      // Thrown in an effect, it would unmount the page. The name may be one that somebody typed.
      this.set({ ...NO_ROOM, error: error as Error });
      return () => this.set(NO_ROOM);
    }
    let isOurs = false; // else the application is in it, and stays
    const enter = (): void => {
      isOurs ||= room.state === 'idle' || room.state === 'left';
      room.join(join).catch((error: Error) => this.set({ state: room.state, error, room }));
    };
    const offRoom = room.on('state', ({ state }) => this.set({ state, error: undefined, room }));
    let wasClosed = false;
    const offClient = client.on('state', () => {
      if (client.state === 'closed') wasClosed = true;
      if (client.state !== 'open' || !wasClosed) return;
      wasClosed = false;
      if (room.state === 'left') enter(); // by `disconnect()`, and the application has connected again
    });
    this.set({ state: room.state, error: undefined, room });
    enter();
    return () => {
      offRoom();
      offClient();
      this.set(NO_ROOM);
      if (isOurs) room.leave().catch(nothing); // it is left, whatever the server answers
    };
  }
}

const nothing = (): void => undefined;
const never = (): (() => void) => nothing;

const stores = new WeakMap<HookClient, Stores>();

function storesOf(client: HookClient): Stores {
  const known = stores.get(client) ?? new Stores(client);
  stores.set(client, known);
  return known;
}

/**
 * The state of a client's connection. Connects while a component that uses a hook of this client is mounted, but not
 * again after a final close. A connection that the application opened stays when they are gone.
 */
export function useConnection(client: HookClient): Connection {
  const all = storesOf(client);
  useEffect(() => all.connect(), [all]);
  return useSyncExternalStore(all.connection.subscribe, all.connection.get, () => NO_CONNECTION);
}

/**
 * Keeps the client in a room while a component that names it is mounted, and connects as `useConnection()` does. Components that name the
 * same room share it; the options of the first one count. Only `onMessage` is called for each of them. A room that the application joined before
 * them isn't left.
 */
export function useRoom(client: HookClient, name: string, options: UseRoomOptions = {}): JoinedRoomState {
  const all = storesOf(client);
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
  });
  useEffect(() => all.connect(), [all]);
  useEffect(() => all.room(name).join(latest), [all, name]);
  const subscribe = useCallback((changed: () => void) => all.room(name).subscribe(changed), [all, name]);
  return useSyncExternalStore(
    subscribe,
    () => all.stateOf(name),
    () => NO_ROOM,
  );
}

/**
 * Who is in a room that was joined with the option `presence`. Renders again with each change.
 * @param room what `useRoom()` returns as `room`, or `client.room()`. Undefined: no users
 * @example
 * const { room } = useRoom(client, 'chat:lobby', { presence: true, presenceData: { name: 'Ada' } });
 * const { users, total } = usePresence(room);
 */
export function usePresence(room: ClientRoom | undefined): PresenceState {
  const store = room && presenceStoreOf(room);
  return useSyncExternalStore(store?.subscribe ?? never, store?.get ?? nobody, nobody);
}
