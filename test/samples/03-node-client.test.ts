import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { MessageBody } from '@nestjs/websockets';
import { ConnectedClient, WebSocketService, WsGateway, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { type Frame, Peer } from '../support/peer.js';
import { type RunningSample, startSample } from './start-sample.js';

const ON_THE_WAY = /is on the way to/;

/** As much of sample 01-chat as the bot speaks with. */
@Injectable()
@WsGateway('chat')
class SmallChat {
  constructor(private readonly service: WebSocketService) {}

  @WsRoute('send')
  async send(
    @MessageBody() { roomName, text }: { roomName: string; text: string },
    @ConnectedClient() { clientId, username }: ConnectedClient,
  ): Promise<{ id: number }> {
    const data = { id: 1, roomName, clientId, username, text, at: Date.now() };
    await this.service.sendToRooms([roomName], { type: 'chat', action: 'message', data });
    return { id: data.id };
  }
}

interface Joined {
  clientId: string;
  roomName: string;
}

/** Tells of each client that joins a room, as soon as it has. */
class Joins {
  readonly #seen: Joined[] = [];
  #wake: () => void = () => undefined;

  readonly note = ({ channel, message }: { channel: string; message: unknown }): void => {
    if (channel !== 'WebSocket:ClientJoinedRoom') return;
    this.#seen.push(message as Joined);
    this.#wake();
  };

  async next(): Promise<Joined> {
    for (;;) {
      const joined = this.#seen.shift();
      if (joined) return joined;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

/** What the bot answers in a room, in which the peer sees its own message, too. */
async function ask(peer: Peer, roomName: string, text: string): Promise<{ username: string; text: string }> {
  peer.send('chat', 'send', { roomName, text });
  await peer.take(({ action, data }) => action === 'message' && data?.clientId === peer.clientId && data.text === text);
  const { data } = await peer.take(
    ({ type, action, data }) => type === 'chat' && action === 'message' && data?.clientId !== peer.clientId,
  );
  return data;
}

describe('the bot, at a chat of this test', () => {
  let chat: RunningApp;
  let bot: RunningSample;
  let peer: Peer;
  let joins: Joins;
  let botId: string;

  beforeEach(async () => {
    joins = new Joins();
    chat = await startApp({ providers: [SmallChat], options: { subscriberEventHandler: joins.note } });
    peer = await chat.connect();
    await peer.join('den', { username: 'Ada' });
    await joins.next();
    bot = await startSample('03-node-client', { CHAT_URL: chat.url, CHAT_ROOM: 'den', BOT_NAME: 'Robo' }, ON_THE_WAY);
    const joined = await joins.next();
    expect(joined.roomName).toBe('den');
    botId = joined.clientId;
  });
  afterEach(async () => {
    await bot?.stop();
    await chat?.close();
  });

  it('answers in its room under its name', async () => {
    expect(await ask(peer, 'den', '/time')).toMatchObject({ username: 'Robo', text: expect.stringMatching(/UTC/) });
    expect((await ask(peer, 'den', '/roll 2d6')).text).toMatch(/^Ada rolled [1-6] \+ [1-6] = \d+\.$/);
    expect((await ask(peer, 'den', 'hello')).text).toMatch(/^Nice to see you, Ada\./);
  });

  it('ignores its own messages, and survives pushes that are none', async () => {
    const text = '/time';
    for (const data of [
      { roomName: 'den', clientId: botId, username: 'Robo', text },
      { roomName: 'den', clientId: 7, text },
      null,
      'text',
    ]) {
      await chat.service.sendToClients([botId], { type: 'chat', action: 'message', data });
    }
    expect((await ask(peer, 'den', '/roll 1d2')).text).toMatch(/^Ada rolled/);
    expect(peer.received.filter(({ action }) => action === 'message')).toEqual([]);
  });

  it('comes back after a lost connection, and answers again', async () => {
    chat.clients.disconnectClient({ clientId: botId, code: 4200 });
    const again = await joins.next();
    expect(again).toMatchObject({ roomName: 'den', clientId: expect.not.stringMatching(botId) });
    expect((await ask(peer, 'den', '/time')).text).toMatch(/UTC/);
  });

  it('says goodbye on SIGTERM and ends', async () => {
    const left = new Promise((resolve) => {
      chat.clients.getClient({ clientId: botId })?.ws?.once('close', resolve);
    });
    const { isForced, code, signal } = await bot.stop();
    expect({ isForced, hasEnded: code === 0 || signal === 'SIGTERM' }).toEqual({ isForced: false, hasEnded: true });
    expect(await left).toBe(1000);
    expect(bot.output()).not.toMatch(/error/i);
  });
});

describe('the bot without a chat', () => {
  it('keeps trying, and still ends on SIGTERM', async () => {
    const bot = await startSample('03-node-client', { CHAT_URL: 'ws://127.0.0.1:9/ws' }, ON_THE_WAY);
    await bot.printed(/ECONNREFUSED/);
    expect(bot.child.exitCode).toBeNull();
    expect((await bot.stop()).isForced).toBe(false);
  });
});

describe('the bot as a guest of sample 01-chat', () => {
  let chat: RunningSample;
  let bot: RunningSample;
  let peer: Peer | undefined;

  beforeAll(async () => {
    chat = await startSample('01-chat', { CHAT_DB: ':memory:' });
  });
  afterAll(async () => {
    peer?.terminate();
    await bot?.stop();
    await chat?.stop();
  });

  it('answers a visitor', async () => {
    const url = `${chat.url.replace('http', 'ws')}/ws`;
    peer = await Peer.open(url);
    await peer.join('lobby', { username: 'Ada' });
    bot = await startSample('03-node-client', { CHAT_URL: url }, ON_THE_WAY);
    await peer.take(
      ({ action, data }) =>
        action === 'clientList' &&
        data.clients.some(({ username, rooms }: Frame) => username === 'Dicey' && rooms.includes('lobby')),
    );
    expect(await ask(peer, 'lobby', '/roll 3d4')).toMatchObject({
      username: 'Dicey',
      text: expect.stringMatching(/ = /),
    });
  });
});
