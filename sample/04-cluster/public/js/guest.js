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

  constructor({ name, roomName, url, onChange, onClosed, onMessage, onRecovered }) {
    this.name = name;
    this.roomName = roomName;
    this.#client = new WebSocketClient({
      url,
      reconnect: { minDelayMs: 200, maxDelayMs: 1_000 },
      events: {
        onStateChanged: onChange,
        onConnected: onChange,
        onDisconnected: onClosed,
        onError: () => undefined, // its state says it
      },
    });
    this.#room = this.#client.room(roomName);
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
    this.#client.disconnect();
  }

  #begin({ offset }) {
    this.#from = offset;
    this.count = 0;
  }
}
