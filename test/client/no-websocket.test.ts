import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { WebSocketClient } from '../../lib/client/browser.js';

describe('the client for browsers, in a runtime without a global WebSocket', () => {
  const kept = Object.getOwnPropertyDescriptor(globalThis, 'WebSocket');

  beforeEach(() => {
    Reflect.deleteProperty(globalThis, 'WebSocket'); // Node before 22 has none
  });

  afterEach(() => {
    if (kept) Object.defineProperty(globalThis, 'WebSocket', kept);
  });

  it('can be made, and says what is missing when it has to connect', async () => {
    const client = new WebSocketClient({ url: 'ws://127.0.0.1:1/ws' });
    await expect(client.connectToServer()).rejects.toThrow('There is no connection: WebSocket is not defined');
  });
});
