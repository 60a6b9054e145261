import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { PeerError, type PublishQuestion, WebSocketClient, type WebSocketOptions } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { until } from '../support/until.js';

@Injectable()
class Publishers {
  authorizePublish({ roomName, data }: PublishQuestion): boolean {
    if (data === 'bad') throw new PeerError('RUDE', 'Be kind.');
    return roomName !== 'chat:read-only';
  }
}

describe('system/publish', () => {
  let running: RunningApp;
  let clients: WebSocketClient[];

  beforeEach(() => {
    clients = [];
  });
  afterEach(async () => {
    for (const client of clients) client.disconnect();
    await running.close();
  });

  const start = async (rooms: WebSocketOptions['rooms'], more: WebSocketOptions = {}): Promise<void> => {
    running = await startApp({ options: { rooms: { history: [{ match: 'chat:*' }], ...rooms }, ...more } });
  };
  const client = async (): Promise<WebSocketClient> => {
    const one = new WebSocketClient({ url: running.url });
    clients.push(one);
    await one.connectToServer();
    return one;
  };

  it('publishes to a room that keeps its messages and answers the place', async () => {
    await start({ authorizePublish: () => true });
    const [ada, bob] = [await client(), await client()];
    const heard: unknown[] = [];
    const room = bob.room('chat:1');
    room.on('message', (data, { message, at }) => void heard.push([data, message.type, message.action, at.offset]));
    await room.join();
    const own = ada.room('chat:1');
    await own.join();
    const place = await own.publish({ text: 'hi' });
    expect(place).toEqual({ roomName: 'chat:1', ...(await running.service.position('chat:1')), isDuplicate: false });
    await until(() => heard.length === 1);
    expect(heard).toEqual([[{ text: 'hi' }, 'system', 'publication', 1]]);
  });

  it('broadcasts to a room without history, with the name of the room', async () => {
    await start({ authorizePublish: () => true });
    const [ada, bob] = [await client(), await client()];
    const heard: unknown[] = [];
    const room = bob.room('lobby');
    room.on('message', (data, { at }) => void heard.push([data, at]));
    await room.join();
    const own = ada.room('lobby');
    await own.join();
    expect(await own.publish([1, 2])).toEqual({ roomName: 'lobby' });
    await until(() => heard.length === 1);
    expect(heard).toEqual([[[1, 2], { room: 'lobby' }]]);
  });

  it.each(['chat:1', 'lobby'])('leaves out who publishes to %s with echo: false', async (roomName) => {
    await start({ authorizePublish: () => true });
    const [ada, bob] = [await client(), await client()];
    const heard = { ada: [] as unknown[], bob: [] as unknown[] };
    const own = ada.room(roomName);
    const other = bob.room(roomName);
    own.on('message', (data) => heard.ada.push(data));
    other.on('message', (data) => heard.bob.push(data));
    await Promise.all([own.join(), other.join()]);
    await own.publish('one', { echo: false });
    await own.publish('two');
    await own.publish('three', { echo: true });
    await until(() => heard.ada.length === 2 && heard.bob.length === 3);
    expect(heard).toEqual({ ada: ['two', 'three'], bob: ['one', 'two', 'three'] });
    await expect(own.publish('x', { echo: 1 as never })).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  });

  it('publishes once for a key', async () => {
    await start({ authorizePublish: () => true });
    const room = (await client()).room('chat:1');
    await room.join();
    const first = await room.publish('once', { key: 'k' });
    expect(await room.publish('once', { key: 'k' })).toEqual({ ...first, isDuplicate: true });
    await expect(room.publish('another', { key: 'k' })).rejects.toMatchObject({ code: 'KEY_REUSED' });
    await expect(room.publish('x', { key: '' })).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    // The application's own key is another one.
    const message = { type: 'chat', action: 'said', data: 'app' };
    expect(await running.service.publishToRoom('chat:1', message, { key: 'k' })).toMatchObject({ isDuplicate: false });
  });

  it('keeps the keys of clients without a user apart, and those of one client together when it comes back', async () => {
    await start({ authorizePublish: () => true });
    const [one, two] = [await client(), await client()];
    const [room, other] = [one.room('chat:1'), two.room('chat:1')];
    await Promise.all([room.join(), other.join()]);
    const first = await room.publish('one', { key: 'k' });
    expect(await other.publish('two', { key: 'k' })).toMatchObject({ isDuplicate: false });
    const back = new Promise((resolve) => one.on('connected', resolve));
    running.clients.disconnectClient(one.clientId as string, { code: 1012 });
    await back;
    await until(() => room.state === 'live');
    expect(await room.publish('one', { key: 'k' })).toEqual({ ...first, isDuplicate: true });
  });

  it('is refused without rooms.authorizePublish, and for a client that is not a member', async () => {
    await start({});
    const room = (await client()).room('chat:1');
    await room.join();
    await expect(room.publish('x')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await room.leave();
    await expect(room.publish('x')).rejects.toMatchObject({ code: 'NOT_IN_ROOM' });
    expect((await running.service.history('chat:1')).entries).toEqual([]);
  });

  it('asks a class, whose exceptions have their own code', async () => {
    await start({ authorizePublish: Publishers });
    const one = await client();
    const [room, closed] = [one.room('chat:1'), one.room('chat:read-only')];
    await room.join();
    await closed.join();
    expect(await room.publish('good')).toMatchObject({ offset: 1 });
    await expect(room.publish('bad')).rejects.toMatchObject({ code: 'RUDE' });
    await expect(closed.publish('good')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(running.errors).toEqual([]);
  });

  it('publishes nothing of a client that was told TIMEOUT before it was allowed to', async () => {
    let allow: ((isAllowed: boolean) => void) | undefined;
    const authorizePublish = (): Promise<boolean> => new Promise((resolve) => (allow = resolve));
    await start({ authorizePublish }, { messages: { handlerTimeoutMs: 100 } });
    const one = await client();
    const room = one.room('chat:1');
    await room.join();
    await expect(room.publish('late')).rejects.toMatchObject({ code: 'TIMEOUT' });
    allow?.(true);
    await one.request('system', 'ping');
    expect((await running.service.history('chat:1')).entries).toEqual([]);
  });

  it.each(['chat:1', 'lobby'])(
    'publishes nothing to %s of a client that was thrown out before it was allowed to',
    async (roomName) => {
      let asked = (): void => undefined;
      const isAsked = new Promise<void>((resolve) => (asked = resolve));
      let allow: ((isAllowed: boolean) => void) | undefined;
      await start({
        authorizePublish: () => {
          asked();
          return new Promise((resolve) => (allow = resolve));
        },
      });
      const [ada, bob] = [await running.connect(), await running.connect()];
      for (const one of [ada, bob]) await one.join(roomName);
      const reply = ada.request('system', 'publish', { roomName, data: 'late' });
      await isAsked;
      running.server.leaveRoom({ clientId: ada.clientId, roomName });
      allow?.(true);
      expect((await reply).data.code).toBe('NOT_IN_ROOM');
      await bob.settle();
      expect(bob.received).toEqual([]);
    },
  );
});
