import { afterEach, describe, expect, it } from '@jest/globals';
import { InvalidOptionsError } from '../../lib/errors.js';
import { WebSocketClient } from '../../lib/client/websocket-client.js';
import { cleanUp, connect, onCleanUp, startServer, TestClient } from './support.js';

afterEach(cleanUp);

describe("on() with an event's name", () => {
  it('hears what the callback of the same event hears, until it is removed', async () => {
    const server = await startServer();
    const client = new TestClient({ url: server.url });
    const states: string[] = [];
    const others: string[] = [];
    const off = client.on('state', ({ state }) => states.push(state));
    client.on('state', ({ state }) => others.push(state));
    await client.connectToServer();
    expect(states).toEqual(['connecting', 'open']);
    off();
    off();
    client.disconnect();
    expect(states).toEqual(['connecting', 'open']);
    expect(others).toEqual(['connecting', 'open', 'closed']);
    expect(client.stateNames).toEqual(others);
  });

  it('hears every event that there is', async () => {
    const server = await startServer();
    const client = new WebSocketClient({ url: server.url, reconnect: { minDelayMs: 1, maxDelayMs: 5 } });
    onCleanUp(() => client.disconnect());
    const heard: unknown[] = [];
    client.on('connected', ({ clientId }) => heard.push(clientId));
    client.on('disconnected', ({ code }) => heard.push(code));
    client.on('message', ({ data }) => heard.push(data.action));
    client.on('reconnecting', ({ attempt }) => heard.push(attempt));
    client.on('error', ({ error }) => heard.push(error.message));
    client.on('roomLost', ({ roomName }) => heard.push(roomName));
    await client.connectToServer();
    await client.joinRoom('lobby');
    const peer = await server.peers.take();
    peer.send({ type: 'chat', action: 'said' });
    peer.refuse({ type: 'chat', action: 'said' }, 'NO', 'Not you.');
    server.answer = (frame, to) => to.refuse(frame, 'ROOM_FORBIDDEN');
    peer.socket.close(1012);
    const back = new Promise((resolve) => client.on('connected', resolve));
    await back;
    expect(heard).toEqual(['client-1', 'said', 'Not you.', 1012, 1, 'lobby', 'client-2']);
  });

  it('refuses a name that is not an event', async () => {
    const { client } = await connect(await startServer());
    const on = client.on.bind(client) as (event: string, listener: () => void) => void;
    expect(() => on('stat', () => undefined)).toThrow(InvalidOptionsError);
    expect(() => on('stat', () => undefined)).toThrow(/"stat" is not an event/);
  });
});

describe('the types of on()', () => {
  // These are checked by the compiler; what runs is that the handlers are called.
  it('are those that the handler declares, or of the event map', async () => {
    const server = await startServer();
    const plain = new WebSocketClient({ url: server.url });
    plain.on('chat', 'said', (data: { text: string }) => data.text);
    plain.on<{ text: string }>('chat', 'said', (data) => data.text);
    plain.on('chat', 'said', async (data, { client }) => {
      // @ts-expect-error nothing is known of the data
      void data.text;
      await client.joinRoom('lobby');
    });

    interface Events {
      'chat/said': { text: string };
      'game/moved': { x: number };
    }
    const typed = new WebSocketClient<Events>({ url: server.url });
    onCleanUp(() => typed.disconnect());
    typed.on('chat', 'said', (data) => texts.push(data.text));
    typed.on('game', 'moved', ({ x }) => x + 1);
    // @ts-expect-error it is not a number
    typed.on('chat', 'said', (data: { text: number }) => data.text);
    typed.on('chat', 'other', (data: { anything: boolean }) => data.anything);
    const texts: string[] = [];
    await typed.connectToServer();
    (await server.peers.take()).send({ type: 'chat', action: 'said', data: { text: 'hi' } });
    await new Promise((resolve) => typed.on('message', resolve));
    await new Promise(setImmediate);
    expect(texts).toEqual(['hi']);
  });
});
