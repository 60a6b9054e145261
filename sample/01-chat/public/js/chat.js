import { ConnectionError, ErrorCode, WebSocketClient } from '@scpxl/nestjs-websocket/client';
import { randomText } from './identity.js';
import { Room } from './room.js';
import { missedSentence, resetSentence, sentenceOf } from './sentences.js';

export const DEFAULT_ROOMS = {
  general: 'Everything and everyone',
  random: 'Off topic, on purpose',
  help: 'Questions and answers',
};

/**
 * The chat without its looks: the connection, the rooms, who is here. Views read its fields; `change` is dispatched on
 * every change, once for all changes of one moment.
 */
export class Chat extends EventTarget {
  /** The rooms this window is in, by name. */
  rooms = new Map();
  activeName = null;
  /** Everybody on the server as `{ clientId, username, rooms }`, as far as the server lists them. */
  people = [];
  /** Who this person is for others, in every tab. */
  userId;
  /** `missed`: messages that came back with the connection, in all rooms. */
  connection = { state: 'idle', retryAt: null, wasLost: false, missed: 0 };
  #identity;
  #client;
  #isChangeDue = false;

  constructor(identity) {
    super();
    this.#identity = identity;
    this.#client = new WebSocketClient({
      url: '/ws',
      token: () => this.#identity.secret,
      reconnect: { initial: true, minDelayMs: 500, maxDelayMs: 15_000 },
      events: {
        onStateChanged: ({ state }) => this.#stateChanged(state),
        onConnected: ({ clientId }) => this.#connected(clientId),
        onRoomLost: ({ roomName, error }) => this.#refused(roomName, error),
        onReconnecting: ({ delayMs }) => this.#setConnection({ retryAt: Date.now() + delayMs }),
        // The state says all there is to say about a lost connection.
        onError: ({ error }) => error instanceof ConnectionError || console.warn(error),
      },
    });
    this.#client.on('chat', 'typing', (data) => this.#typing(data));
    this.#client.on('chat', 'left', ({ clientId }) => this.#left(clientId));
    this.#client.on('system', 'clientList', (list) => this.#listed(list));
    this.#client.on('system', 'clientListChanged', (changes) => this.#listChanged(changes));
    setInterval(() => this.#forgetOld(), 1_000);
  }

  get name() {
    return this.#identity.name;
  }

  get clientId() {
    return this.#client.clientId;
  }

  get active() {
    return this.rooms.get(this.activeName);
  }

  /** Connects under the name of the identity, into its rooms. */
  start() {
    const { rooms, active, lastRead } = this.#identity;
    for (const roomName of rooms.length > 0 ? rooms : ['general']) {
      this.rooms.set(roomName, new Room(roomName, lastRead[roomName]));
      void this.#enter(this.rooms.get(roomName));
    }
    this.activeName = this.rooms.has(active) ? active : [...this.rooms.keys()][0];
    this.active.enter();
    this.#save();
    this.reconnect();
  }

  /** Tries at once instead of at the end of the wait. */
  reconnect() {
    // It goes on trying in the background; onStateChanged tells what comes of it.
    this.#client.connectToServer().catch(() => undefined);
    this.#setConnection({ retryAt: null });
  }

  /** @throws RemoteError when the server refuses the name @throws ConnectionError */
  async rename(name) {
    const before = this.#identity.name;
    this.#identity.name = name;
    const rooms = [...this.rooms.values()];
    const answers = await Promise.allSettled(rooms.map((room) => this.#client.joinRoom(room.name, introduction(name))));
    const refused = answers.find(({ status }) => status === 'rejected');
    if (!refused) return this.#save();
    this.#identity.name = before;
    for (const room of rooms) void this.#enter(room); // who is refused is in the room no more
    throw refused.reason;
  }

  /** Waits for a connection, if there is none. @throws RemoteError when the server refuses */
  async join(roomName) {
    if (!this.rooms.has(roomName)) {
      const room = new Room(roomName, this.#identity.lastRead[roomName]);
      this.rooms.set(roomName, room);
      try {
        await this.#joinRoom(room);
      } catch (error) {
        this.#forget(roomName);
        throw error;
      }
    }
    this.show(roomName);
  }

  leave(roomName) {
    this.#client.leaveRoom(roomName).catch(() => undefined); // without a connection we are in no room anyway
    this.#forget(roomName);
  }

  /** Brings a room into view. */
  show(roomName) {
    if (!this.rooms.has(roomName) || roomName === this.activeName) return;
    this.activeName = roomName;
    this.active.enter();
    this.#save();
  }

  /** What stands in the active room has been seen. */
  read() {
    if (this.active?.markRead()) this.#save();
  }

  send(text) {
    const room = this.active;
    void this.#deliver(room, room.addOwn(text, this.name, randomText()));
  }

  retry(message) {
    void this.#deliver(this.active, message);
  }

  discard(message) {
    this.active.remove(message);
    this.#changed();
  }

  /** Best effort: nobody misses it while there is no connection. */
  tellTyping(roomName, isTyping) {
    if (!this.#client.isClientConnected() || !this.rooms.get(roomName)?.isLive) return;
    this.#client.sendMessage({ type: 'chat', action: 'typing', data: { roomName, isTyping } });
  }

  /** The people in the room in view as `{ userId, name, isMe }`: each once, in however many tabs. */
  get peopleHere() {
    const users = [...(this.active?.handle?.presence.values() ?? [])];
    return users.map(({ userId, data }) => ({ userId, name: nameIn(data), isMe: userId === this.userId }));
  }

  /** Who is in a room that this window may not be in. */
  clientsIn(roomName) {
    return this.people.filter(({ rooms = [] }) => rooms.includes(roomName));
  }

  /** How many they are. The server lists them only up to 200. */
  get totalHere() {
    return this.active?.handle?.presence.total ?? 0;
  }

  /** Rooms to join: the default ones, and those that others are in. */
  get otherRooms() {
    const names = [...Object.keys(DEFAULT_ROOMS), ...this.people.flatMap(({ rooms = [] }) => rooms).toSorted()];
    return [...new Set(names)].filter((roomName) => !this.rooms.has(roomName));
  }

  async #deliver(room, message) {
    // Before the room is joined the server would refuse it.
    const isReady = this.#client.isClientConnected() && room.isLive;
    message.status = isReady ? 'sending' : 'waiting';
    this.#changed();
    if (message.status === 'waiting') return;
    try {
      const { text, key } = message;
      room.confirm(message, await this.#client.request('chat', 'send', { roomName: room.name, text, key }));
    } catch (error) {
      // The same key again: a message whose reply alone got lost is not stored twice.
      const status = error instanceof ConnectionError ? 'waiting' : 'failed';
      Object.assign(message, { status, error: sentenceOf(error), canRetry: error.code !== ErrorCode.ValidationFailed });
    }
    this.#changed();
  }

  #stateChanged(state) {
    const { wasLost, missed } = this.connection;
    const isLost = state === 'reconnecting' || state === 'closed';
    this.#setConnection({ state, retryAt: null, wasLost: wasLost || isLost, missed: isLost ? 0 : missed });
    for (const room of this.rooms.values()) {
      if (state === 'open') this.#deliverWaiting(room);
      else room.typing.clear();
    }
  }

  async #enter(room) {
    try {
      await this.#joinRoom(room);
    } catch (error) {
      this.#refused(room.name, error);
    }
  }

  #refused(roomName, error) {
    this.#forget(roomName);
    this.dispatchEvent(new CustomEvent('refused', { detail: { roomName, sentence: sentenceOf(error) } }));
  }

  /**
   * From here on the client keeps us in the room. After every reconnect it gets what was missed, message by message; only where
   * the server can't give that, it calls `loadState` again.
   */
  async #joinRoom(room) {
    const handle = this.#client.room(room.name, { presence: true, loadState: () => this.#load(room) });
    if (handle !== room.handle) this.#listen(room, handle);
    await handle.join(introduction(this.name));
  }

  #listen(room, handle) {
    room.handle = handle;
    handle.on('message', (message) => this.#received(room, message));
    handle.on('recovered', ({ missed }) => this.#recovered(room, missed));
    handle.on('reset', ({ reason }) => (room.notice = { afterId: room.newestId, text: resetSentence(reason) }));
    handle.on('state', ({ state }) => this.#roomChanged(room, state));
    const { presence } = handle;
    presence.on('joined', ({ userId }) => room.recent.delete(userId));
    presence.on('left', ({ userId, data }) => room.remember(userId, nameIn(data)));
    for (const event of ['joined', 'updated', 'left', 'synced']) presence.on(event, () => this.#changed());
  }

  #connected(clientId) {
    this.userId = this.#client.user?.userId;
    this.#identity.addClientId(clientId);
  }

  /** The server reads the place first and the messages after it, so nothing falls in between. */
  async #load(room) {
    const { position, messages } = await this.#client.request('chat', 'load', { roomName: room.name });
    const isFirst = room.status === 'joining';
    room.load(messages, this.#isOwn);
    if (isFirst && room === this.active) room.enter();
    this.#changed();
    return { position };
  }

  #recovered(room, missed) {
    if (missed === 0) return;
    room.notice = { afterId: room.newestId, text: missedSentence(missed) };
    this.#setConnection({ missed: this.connection.missed + missed });
  }

  #roomChanged(room, state) {
    if (state === 'left')
      this.#forget(room.name); // the server took us out of it
    else if (state === 'live') this.#deliverWaiting(room);
  }

  #deliverWaiting(room) {
    for (const message of room.messages) if (message.status === 'waiting') void this.#deliver(room, message);
  }

  #received(room, message) {
    room.add([message], this.#isOwn);
    this.#changed();
  }

  #isOwn = ({ clientId }) => this.#identity.clientIds.includes(clientId);

  #typing(data) {
    this.rooms.get(data.roomName)?.setTyping(data);
    this.#changed();
  }

  /** Who fell silent, and who left a while ago. */
  #forgetOld() {
    const changes = [...this.rooms.values()].map((room) => room.forgetOld());
    if (changes.includes(true)) this.#changed();
  }

  #left(clientId) {
    this.people = this.people.filter((person) => person.clientId !== clientId);
    for (const room of this.rooms.values()) room.typing.delete(clientId);
    this.#changed();
  }

  /** Above the server's limit there is no list. */
  #listed({ clients = [] }) {
    this.people = clients;
    this.#changed();
  }

  /** What makes the new list of the one before, where the list is long. */
  #listChanged({ changed, removed }) {
    const gone = new Set([...removed, ...changed.map(({ clientId }) => clientId)]);
    const others = this.people.filter(({ clientId }) => !gone.has(clientId));
    this.#listed({ clients: [...others, ...changed] });
  }

  #forget(roomName) {
    if (!this.rooms.delete(roomName)) return;
    if (this.activeName === roomName) {
      this.activeName = [...this.rooms.keys()][0] ?? null;
      this.active?.enter();
    }
    this.#save();
  }

  #setConnection(news) {
    Object.assign(this.connection, news);
    this.#changed();
  }

  #save() {
    const rooms = [...this.rooms.values()];
    const lastRead = Object.fromEntries(rooms.map(({ name, lastReadId }) => [name, lastReadId]));
    Object.assign(this.#identity, { rooms: rooms.map(({ name }) => name), active: this.activeName, lastRead });
    this.#identity.save();
    this.#changed();
  }

  #changed() {
    if (this.#isChangeDue) return;
    this.#isChangeDue = true;
    queueMicrotask(() => {
      this.#isChangeDue = false;
      this.dispatchEvent(new Event('change'));
    });
  }
}

/** How we appear in a room: to the server, and to the others. */
const introduction = (name) => ({ username: name, presenceData: { name } });

/** What people say of themselves is as they like it. */
const nameIn = (data) => (typeof data?.name === 'string' ? data.name : 'Somebody');
