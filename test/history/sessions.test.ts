import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { MessageBody } from '@nestjs/websockets';
import { ConnectedClient, WebSocketClient, WebSocketService, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const ROOM = 'chat:1';
const SESSION = 'a-session-of-a-client';

@Injectable()
class Chat {
  constructor(private readonly service: WebSocketService) {}

  @WsRoute('chat', 'say')
  async say(@MessageBody() { n, echo, pause }: { n: number; echo?: boolean; pause?: boolean }) {
    if (pause) await new Promise((resolve) => setTimeout(resolve, 5));
    return this.service.publishToRoom(ROOM, { type: 'chat', action: 'said', data: { n } }, { echo });
  }

  @WsRoute('chat', 'sayTwice')
  async sayTwice(@MessageBody() { n }: { n: number }) {
    const said = [];
    for (const part of ['first', 'second'])
      said.push(await this.service.publishToRoom(ROOM, { type: 'chat', action: 'said', data: { n, part } }));
    return said;
  }

  @WsRoute('chat', 'sayOther')
  async sayOther(@ConnectedClient() _client: ConnectedClient, @MessageBody() { n }: { n: number }) {
    await this.service.sendToRooms([ROOM], { type: 'chat', action: 'said', data: { n } });
  }
}

let stops: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

async function startNodes(kind: string): Promise<RunningApp[]> {
  const redis = kind === 'two nodes on Redis' ? await TestRedis.start() : undefined;
  if (redis) stops.push(() => redis.stop());
  const start = async (): Promise<RunningApp> => {
    const node = await startApp({
      options: {
        redis: redis?.url,
        rooms: { history: [{ match: 'chat:*' }] },
        auth: {
          required: false,
          authenticate: ({ headers }) =>
            headers['authorization'] ? { userId: headers['authorization'], payload: {} } : null,
        },
      },
      providers: [Chat],
    });
    stops.push(() => node.close());
    return node;
  };
  return redis ? [await start(), await start()] : [await start()];
}

async function connect(node: RunningApp, session: string | undefined, token?: string): Promise<Peer> {
  const peer = await node.connect(token ? { headers: { authorization: `Bearer ${token}` } } : {});
  if (session !== undefined) peer.send('system', 'session', { session });
  return peer;
}

const said = (peer: Peer): number[] =>
  peer.received.filter(({ action }) => action === 'said').map(({ data }) => data.n);
const passed = (peer: Peer): number[] =>
  peer.received.filter(({ type, action }) => type === 'system' && action === 'at').map(({ at }) => at.offset);

async function asked(peer: Peer, action: string, data: object, key?: string): Promise<unknown> {
  const id = `${action} ${Math.random()}`;
  peer.sendRaw(JSON.stringify({ type: 'chat', action, data, id, key }));
  const { response, ...reply } = await peer.take((frame) => frame.id === id);
  return response === undefined ? reply : response;
}

describe.each(hasRedis() ? ['one process', 'two nodes on Redis'] : ['one process'])('a session in %s', (kind) => {
  it('doesn’t get back what it published with echo: false, live and when it comes back', async () => {
    const nodes = await startNodes(kind);
    const [first, last] = [nodes[0] as RunningApp, nodes.at(-1) as RunningApp];
    const [mine, alsoMine] = [await connect(first, SESSION), await connect(last, SESSION)];
    const other = await connect(last, 'another-session-of-a-client');
    const { epoch } = (await mine.join(ROOM)).response.data.history;
    for (const peer of [alsoMine, other]) await peer.join(ROOM);
    expect(mine.connected.data.features).toContain('session');
    await asked(mine, 'say', { n: 1, echo: false, pause: true });
    await asked(mine, 'say', { n: 2 });
    await until(() => [mine, alsoMine, other].every((peer) => said(peer).includes(2)));
    expect(said(other)).toEqual([1, 2]);
    for (const peer of [mine, alsoMine]) {
      expect(said(peer)).toEqual([2]);
      expect(passed(peer)).toEqual([1]);
    }
    // Its place moves past its own.
    const at = mine.received.find(({ action }) => action === 'at');
    expect(at).toEqual({ type: 'system', action: 'at', at: { room: ROOM, epoch, offset: 1 } });
    const back = await connect(last, SESSION);
    await back.join(ROOM, { since: { epoch, offset: 0 } });
    await until(() => said(back).length === 1);
    expect([said(back), passed(back)]).toEqual([[2], [1]]);
    const stranger = await connect(last, undefined);
    await stranger.join(ROOM, { since: { epoch, offset: 0 } });
    await until(() => said(stranger).length === 2);
  });

  it('doesn’t get back what it published to a room that it joined with echo: false, until it joins otherwise', async () => {
    const nodes = await startNodes(kind);
    const [first, last] = [nodes[0] as RunningApp, nodes.at(-1) as RunningApp];
    const [mine, other] = [await connect(first, SESSION), await connect(last, 'another-session-of-a-client')];
    const { epoch } = (await mine.join(ROOM, { echo: false })).response.data.history;
    await other.join(ROOM, { echo: false });
    await asked(mine, 'say', { n: 1, pause: true });
    await asked(mine, 'say', { n: 2, echo: true });
    await asked(other, 'say', { n: 3 });
    await asked(mine, 'sayOther', { n: 4 });
    await until(() => [mine, other].every((peer) => said(peer).length + passed(peer).length === 4));
    expect([said(mine), passed(mine)]).toEqual([
      [2, 3],
      [1, 4],
    ]);
    expect([said(other), passed(other)]).toEqual([[1, 2, 4], [3]]);
    const back = await connect(last, SESSION);
    await back.join(ROOM, { since: { epoch, offset: 0 } });
    await until(() => said(back).length + passed(back).length === 4);
    expect([said(back), passed(back)]).toEqual([
      [2, 3],
      [1, 4],
    ]);
    await asked(back, 'say', { n: 5 }); // it joined without echo: false
    await mine.request('system', 'leaveRoom', { roomName: ROOM });
    await mine.join(ROOM);
    await asked(mine, 'say', { n: 6 });
    await until(() => [mine, back].every((peer) => said(peer).includes(6)));
    expect(said(back)).toEqual([2, 3, 5, 6]);
  });

  it('is of its user: nobody else can say to be it, and be left out for it', async () => {
    const [node] = (await startNodes(kind)) as [RunningApp];
    const [mine, thief] = [await connect(node, SESSION, 'ada'), await connect(node, SESSION, 'eve')];
    for (const peer of [mine, thief]) await peer.join(ROOM);
    await asked(thief, 'say', { n: 1, echo: false });
    await until(() => said(mine).length === 1);
    expect(passed(thief)).toEqual([1]);
  });

  it('is refused when it can’t be one, and stays what it was said to be first', async () => {
    const [node] = (await startNodes(kind)) as [RunningApp];
    const peer = await node.connect();
    for (const session of [undefined, 7, 'short', 'x'.repeat(65), 'with spaces in its name'])
      expect((await peer.request('system', 'session', { session })).data.code).toBe('BAD_REQUEST');
    expect((await peer.request('system', 'session', { session: SESSION })).response).toBeNull();
    await peer.request('system', 'session', { session: 'another-session-of-a-client' });
    await peer.join(ROOM);
    const first = await connect(node, SESSION);
    await asked(first, 'say', { n: 1, echo: false });
    await asked(first, 'say', { n: 2 });
    await until(() => said(peer).includes(2));
    expect(said(peer)).toEqual([2]);
  });

  it('without one gets back what it published; outside of a handler echo: false is a mistake', async () => {
    const [node] = (await startNodes(kind)) as [RunningApp];
    const peer = await connect(node, undefined);
    await peer.join(ROOM);
    await asked(peer, 'say', { n: 1, echo: false });
    await until(() => said(peer).length === 1);
    const message = { type: 'chat', action: 'said', data: { n: 2 } };
    await expect(node.service.publishToRoom(ROOM, message, { echo: false })).rejects.toThrow('in a handler');
  });

  it('of our client keeps the echo of its join over reconnects', async () => {
    const [node] = (await startNodes(kind)) as [RunningApp];
    const client = new WebSocketClient({ url: node.url, reconnect: { minDelayMs: 1, maxDelayMs: 5 } });
    stops.push(() => client.disconnect());
    const heard: unknown[] = [];
    const room = client.room(ROOM, { history: { echo: false } });
    room.on('message', (data) => heard.push((data as { n: number }).n));
    await client.connectToServer();
    await room.join();
    await client.request('chat', 'say', { n: 1 });
    const recovered = new Promise((resolve) => room.on('recovered', resolve));
    for (const { ws } of node.clients.getClients()) ws?.terminate();
    await recovered;
    await until(() => client.isClientConnected());
    await client.request('chat', 'say', { n: 2 });
    await client.request('chat', 'say', { n: 3, echo: true });
    await until(() => room.position?.offset === 3);
    expect(heard).toEqual([3]);
  });

  it('is kept by our client over reconnects, and its place moves past its own', async () => {
    const nodes = await startNodes(kind);
    const [first, last] = [nodes[0] as RunningApp, nodes.at(-1) as RunningApp];
    let { url } = first;
    const client = new WebSocketClient({ url: () => url, reconnect: { minDelayMs: 1, maxDelayMs: 5 } });
    stops.push(() => client.disconnect());
    const heard: unknown[] = [];
    const messages: string[] = [];
    client.on('chat', 'said', ({ n }: { n: number }) => heard.push(n));
    client.on('message', ({ data }) => messages.push(`${data.type}/${data.action}`));
    await client.connectToServer();
    await client.joinRoom(ROOM);
    await client.request('chat', 'say', { n: 1, echo: false });
    await until(() => client.positionOf(ROOM)?.offset === 1);
    ({ url } = last);
    const recovered = new Promise((resolve) => client.on('recovered', resolve));
    for (const { ws } of first.clients.getClients()) ws?.terminate();
    const peer = await connect(first, undefined);
    await asked(peer, 'say', { n: 2 });
    await recovered;
    await until(() => client.isClientConnected());
    await client.request('chat', 'say', { n: 3, echo: false });
    await client.request('chat', 'say', { n: 4 });
    await until(() => client.positionOf(ROOM)?.offset === 4);
    expect(heard).toEqual([2, 4]);
    expect(messages).not.toContain('system/at');
  });

  it('H8: has keys of its own: a message that is sent again publishes once', async () => {
    const nodes = await startNodes(kind);
    const [first, last] = [nodes[0] as RunningApp, nodes.at(-1) as RunningApp];
    const [mine, again] = [await connect(first, SESSION), await connect(last, SESSION)];
    const other = await connect(first, 'another-session-of-a-client');
    const { epoch } = (await mine.join(ROOM)).response.data.history;
    const place = (offset: number, isDuplicate: boolean): object => ({ epoch, offset, isDuplicate });
    expect(await asked(mine, 'sayTwice', { n: 1 }, 'k')).toEqual([place(1, false), place(2, false)]);
    expect(await asked(again, 'sayTwice', { n: 1 }, 'k')).toEqual([place(1, true), place(2, true)]);
    // Another message, another route, another session, no key: another publication.
    expect(await asked(mine, 'sayTwice', { n: 2 }, 'l')).toEqual([place(3, false), place(4, false)]);
    expect(await asked(mine, 'say', { n: 3 }, 'k')).toEqual(place(5, false));
    expect(await asked(other, 'sayTwice', { n: 1 }, 'k')).toEqual([place(6, false), place(7, false)]);
    expect(await asked(mine, 'say', { n: 3 })).toEqual(place(8, false));
    await asked(mine, 'sayOther', { n: 4 }, 'm');
    await asked(again, 'sayOther', { n: 4 }, 'm');
    expect(await asked(mine, 'say', { n: 5 })).toEqual(place(10, false));
    // One key, something else to say.
    expect(await asked(again, 'say', { n: 6 }, 'k')).toMatchObject({ data: { code: 'KEY_REUSED' } });
    expect(await asked(mine, 'say', { n: 1 }, '')).toMatchObject({ data: { code: 'BAD_FRAME' } });
  });
});
