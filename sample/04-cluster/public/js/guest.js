import { WebSocketClient } from '@scpxl/nestjs-websocket/client';

/** Somebody who chats from within this page: an ordinary client, which comes back by itself when its node goes. */
export class Guest {
  /** The last message it got: `{ username, text, delayMs }`. */
  last = null;
  count = 0;
  #client;

  constructor({ name, roomName, url, onChange, onClosed, onMessage }) {
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
    this.#client.on('chat', 'message', (message) => {
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

  async enter() {
    await this.#client.connectToServer();
    await this.#client.joinRoom(this.roomName, { username: this.name });
  }

  leave() {
    this.#client.disconnect();
  }
}
