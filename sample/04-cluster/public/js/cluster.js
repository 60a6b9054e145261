import { WebSocketClient } from '@scpxl/nestjs-websocket/client';
import { Guest } from './guest.js';

const NAMES = [
  'Ada',
  'Grace',
  'Alan',
  'Edsger',
  'Barbara',
  'Donald',
  'Radia',
  'Ken',
  'Frances',
  'Dennis',
  'Joan',
  'Tim',
];
const KEPT_EVENTS = 60;
const TALK_EVERY_MS = 100;

/** What the page shows, without its looks. `change` is dispatched once for all changes of one moment. */
export class Cluster extends EventTarget {
  /** `{ name, state, port, pid }` of each node. */
  nodes = [];
  /** Everybody who chats, on whichever node: `{ clientId, node, username, rooms }`. */
  clients = [];
  /** The newest first. */
  events = [];
  /** The clients that live in this page. */
  guests = [];
  isConnected = false;
  balancerPort = 0;
  /** The message said last, and on which nodes guests of this page got it. */
  lastSaid = null;
  /** Numbers that this page says to a room: `{ roomName, count, place, isOn }`. */
  talk = null;
  #client;
  #lastEvent = 0;
  #isChangeDue = false;

  constructor() {
    super();
    this.#client = new WebSocketClient({
      url: '/ws',
      reconnect: { initial: true, minDelayMs: 200, maxDelayMs: 2_000 },
      events: {
        onConnected: () => void this.#connected(),
        onDisconnected: () => this.#changed(() => (this.isConnected = false)),
        onError: () => undefined, // the status line says it
      },
    });
    this.#client.on('cluster', 'state', (state) => this.#changed(() => Object.assign(this, state)));
    this.#client.on('cluster', 'event', (event) => this.note(event));
  }

  start() {
    this.#client.connectToServer().catch(() => undefined); // it goes on trying
  }

  /** Starts, stops or kills a node. */
  command(action, name) {
    return this.#client.request('cluster', action, { name }, { timeoutMs: 15_000 });
  }

  async say(roomName, text) {
    const key = crypto.randomUUID();
    const said = { key, text, roomName, nodes: new Map() };
    this.#changed(() => (this.lastSaid = said));
    await this.#client.request('cluster', 'say', { roomName, text, key });
  }

  /** Says a number after the other, until it is called again. @throws RemoteError when the server refuses */
  async toggleTalk(roomName) {
    if (this.talk?.isOn) return this.#changed(() => (this.talk.isOn = false));
    const talk = { roomName, count: 0, place: 0, isOn: true };
    this.#changed(() => Object.assign(this, { talk, lastSaid: null }));
    try {
      while (talk.isOn) {
        const text = `Number ${talk.count + 1}`;
        const { offset } = await this.#client.request('cluster', 'say', { roomName, text, key: crypto.randomUUID() });
        this.#changed(() => Object.assign(talk, { count: talk.count + 1, place: offset }));
        await new Promise((resolve) => setTimeout(resolve, TALK_EVERY_MS));
      }
    } finally {
      this.#changed(() => (talk.isOn = false));
    }
  }

  get isFull() {
    return this.guests.length === NAMES.length;
  }

  async addGuest(roomName) {
    const taken = new Set(this.guests.map(({ name }) => name));
    const name = NAMES.find((one) => !taken.has(one));
    const guest = new Guest({
      name,
      roomName,
      url: `ws://${location.hostname}:${this.balancerPort}/ws`,
      onChange: () => this.#changed(),
      onClosed: ({ code, willReconnect }) =>
        this.note({ kind: 'guest-closed', username: name, code, willReconnect, at: Date.now() }),
      onMessage: (message) => this.#arrived(guest, message),
      onRecovered: ({ missed }) =>
        this.note({ kind: 'guest-recovered', username: name, roomName, missed, at: Date.now() }),
      onSeen: (what, person) => this.#saw(guest, what, person),
    });
    this.#changed(() => this.guests.push(guest));
    try {
      await guest.enter();
    } catch (error) {
      this.removeGuest(guest);
      throw error;
    }
  }

  removeGuest(guest) {
    guest.leave();
    this.#changed(() => (this.guests = this.guests.filter((one) => one !== guest)));
  }

  /** The guest of this page behind a client, if it is one. */
  guestOf(clientId) {
    return this.guests.find((guest) => guest.clientId === clientId);
  }

  note(event) {
    this.#changed(() => {
      const events = [{ ...event, id: ++this.#lastEvent }, ...this.events];
      // The nodes' events take longer to get here than the page's own.
      this.events = events.toSorted((one, other) => other.at - one.at).slice(0, KEPT_EVENTS);
    });
  }

  async #connected() {
    try {
      const state = await this.#client.request('cluster', 'state');
      this.#changed(() => Object.assign(this, state, { isConnected: true }));
    } catch {
      // Lost again: the next connection asks again.
    }
  }

  /** All in a room see the same: one of them says it. */
  #saw(guest, what, person) {
    const first = this.guests.find(({ roomName, isConnected }) => roomName === guest.roomName && isConnected);
    if (guest === first)
      this.note({ kind: `person-${what}`, username: person, roomName: guest.roomName, at: Date.now() });
    else this.#changed();
  }

  #arrived(guest, message) {
    if (!this.lastSaid || message.key !== this.lastSaid.key) return;
    const node = this.clients.find(({ clientId }) => clientId === guest.clientId)?.node;
    const { nodes } = this.lastSaid;
    if (node) nodes.set(node, (nodes.get(node) ?? 0) + 1);
  }

  #changed(change = () => undefined) {
    change();
    if (this.#isChangeDue) return;
    this.#isChangeDue = true;
    queueMicrotask(() => {
      this.#isChangeDue = false;
      this.dispatchEvent(new Event('change'));
    });
  }
}
