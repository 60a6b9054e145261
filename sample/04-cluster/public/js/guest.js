import { WebSocketClient } from '@scpxl/nestjs-websocket/client';

/** Somebody who chats from within this page: an ordinary client, which comes back by itself when its node goes. */
export class Guest {
  /** The last message it got: `{ username, text, delayMs }`. */
  last = null;
  /** How many it got. */
  count = 0;
  /** The place in the room at which it began to count. */
  #from = 0;
  #client;
  #room;

  constructor({ name, roomName, url, onChange, onClosed, onMessage, onRecovered, onSeen }) {
    this.name = name;
    this.roomName = roomName;
    this.#client = new WebSocketClient({
      url,
      token: crypto.randomUUID(), // the same person, on whichever node
      reconnect: { minDelayMs: 200, maxDelayMs: 1_000 },
      events: {
        onStateChanged: onChange,
        onConnected: onChange,
        onDisconnected: onClosed,
        onError: () => undefined, // its state says it
      },
    });
    this.#room = this.#client.room(roomName, { presence: true, presenceData: { name } });
    const { presence } = this.#room;
    presence.on('joined', ({ data }) => onSeen('joined', data?.name));
    presence.on('left', ({ data }) => onSeen('left', data?.name));
    presence.on('synced', onChange);
    this.#room.on('recovered', onRecovered);
    this.#room.on('reset', ({ position }) => this.#begin(position));
    this.#room.on('message', (message) => {
      this.last = { ...message, delayMs: Math.max(0, Date.now() - message.at) };
      this.count++;
      onMessage(message);
      onChange();
    });
  }

  get clientId() {
    return this.#client.clientId;
  }

  /** How many people are in the room, as this guest knows it. */
  get peopleCount() {
    return this.#room.presence.total;
  }

  get isConnected() {
    return this.#client.state === 'open';
  }

  /** How many messages it hasn't got yet, of those up to a place: places are 1, 2, 3 … */
  missing(offset) {
    return offset - this.#from - this.count;
  }

  async enter() {
    await this.#client.connectToServer();
    const { history } = await this.#room.join({ username: this.name });
    this.#begin(history);
  }

  leave() {
    this.#client.disconnect({ leave: true });
  }

  #begin({ offset }) {
    this.#from = offset;
    this.count = 0;
  }
}
