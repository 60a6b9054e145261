import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Redis } from 'ioredis';
import { WebSocketRedisSubscriberEvent as Event, WebSocketService, WsSubscribe } from '../../lib/index.js';
import { type AppOptions, type RunningApp, startApp } from '../support/app.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';

const describeWithRedis = hasRedis() ? describe : describe.skip;
const apps: RunningApp[] = [];
const start = async (given: AppOptions): Promise<RunningApp> => {
  const app = await startApp(given);
  apps.push(app);
  return app;
};
const closeAll = async (): Promise<void> => void (await Promise.all(apps.splice(0).map((app) => app.close())));

/** By whom an event was heard: a pattern, a function, `*`, and the option. */
function listener(heard: string[]): Pick<AppOptions, 'providers'> & { onEvent: () => void } {
  @Injectable()
  class Listener {
    @WsSubscribe(/^orders:/)
    byPattern(): void {
      heard.push('pattern');
    }
    @WsSubscribe(({ channel }) => channel.startsWith('orders:'))
    byFunction(): void {
      heard.push('function');
    }
    @WsSubscribe('*')
    byStar({ channel }: { channel: string }): void {
      if (channel.startsWith('orders:')) heard.push('star');
    }
  }
  return { providers: [Listener], onEvent: () => heard.push('option') };
}

describe('an event of a name that no subscriber gives in full', () => {
  afterEach(closeAll);

  it('reaches patterns, functions, * and the option, without Redis', async () => {
    const heard: string[] = [];
    const { providers, onEvent } = listener(heard);
    const app = await start({
      providers,
      options: { subscriberEventHandler: ({ channel }) => void (channel === 'orders:shipped' && onEvent()) },
    });
    app.server.publish({ channel: 'orders:shipped', data: { id: 1 } });
    await until(() => heard.length === 4);
    expect(heard.toSorted()).toEqual(['function', 'option', 'pattern', 'star']);
  });
});

describeWithRedis('the channels of an application', () => {
  let redis: TestRedis;
  let plain: Redis;
  beforeAll(async () => {
    redis = await TestRedis.start();
    plain = new Redis(redis.port, '127.0.0.1');
  });
  afterEach(closeAll);
  afterAll(async () => {
    await plain.quit();
    await redis.stop();
  });
  const message = (text: string) => ({ type: 'news', action: 'flash', data: text });

  it('bring an event to every node that hears it by a pattern, from a node and from an emitter', async () => {
    const heard: string[] = [];
    const options = { redis: redis.url, prefix: 'pattern' };
    const one = await start({ options });
    const { providers, onEvent } = listener(heard);
    await start({
      providers,
      options: {
        ...options,
        subscriberEventHandler: ({ channel }) => void (channel.startsWith('orders:') && onEvent()),
      },
    });
    await one.service.publish('orders:shipped', { id: 1 });
    await until(() => heard.length === 4);
    await new WebSocketService({ redisInstance: plain, prefix: 'pattern' }).publish('orders:paid', 1);
    await until(() => heard.length === 8);
    // Plain JSON of another program is for who names the channel in full.
    expect(await plain.publish('pattern:orders:shipped', '1')).toBe(0);
  });

  it.each<[string, ...{ prefix: string; db?: number }[]]>([
    ['a prefix that begins with the other', { prefix: 'shop' }, { prefix: 'shop:orders' }],
    ['another database', { prefix: 'base' }, { prefix: 'base', db: 3 }],
  ])('are not shared with %s', async (_, ...both) => {
    const heard: string[][] = [[], []];
    const [one, two] = (await Promise.all(
      both.map(({ prefix, db }, at) =>
        start({
          options: {
            prefix,
            redis: `${redis.url}/${db ?? 0}`,
            subscriberEventHandler: ({ channel, message: told }) => {
              if (!channel.includes('Client')) heard[at]?.push(`${channel} ${JSON.stringify(told)}`);
            },
          },
        }),
      ),
    )) as [RunningApp, RunningApp];
    const [ada, bob] = [await one.connect(), await two.connect()];
    for (const peer of [ada, bob]) await peer.join('red', { userId: 'u' });
    for (const channel of ['orders:WebSocket:SendMessageToAll', 'orders:$all', '$all', 'orders:$events', 'orders:x'])
      await one.service.publish(channel, message('event'));
    await one.service.broadcast(message('all'));
    await one.service.sendToRooms(['red'], message('room'));
    await one.service.sendToUsers(['u'], message('user'));
    await one.service.publish(Event.SendMessageToAll, message('to all'));
    await ada.take(({ data }) => data === 'to all');
    await two.service.publish(Event.SendMessageToAll, message('own'));
    expect(await bob.next('news', 'flash')).toEqual(message('own'));
    await bob.settle();
    expect(bob.received.filter(({ type }) => type === 'news')).toEqual([]);
    expect(heard[1]).toEqual([`${Event.SendMessageToAll} ${JSON.stringify(message('own'))}`]);
    expect(two.server.status.counters.junk).toBe(0);
    expect(two.server.status.nodeIds).toHaveLength(1);
  });

  it.each([
    ['pxl', 'the prefix alone', 0, 'pxl'],
    ['pxl', 'the number of another database', 2, 'pxl@2'],
    ['shop:orders', 'a prefix with its colon escaped', 0, 'shop%3Aorders'],
  ])('of %s begin with %s for other programs', async (prefix, _, db, head) => {
    const app = await start({ options: { prefix, redis: `${redis.url}/${db}` } });
    const ada = await app.connect();
    expect(await plain.publish(`${head}:WebSocket:SendMessageToAll`, JSON.stringify(message('plain')))).toBe(1);
    expect(await ada.next('news', 'flash')).toEqual(message('plain'));
  });

  it('bring a message of another program to the clients as it was written', async () => {
    const app = await start({ options: { prefix: 'bytes', redis: redis.url } });
    const ada = await app.connect();
    const texts: string[] = [];
    ada.ws.on('message', (data: Buffer) => void texts.push(data.toString()));
    const text = '{ "type":"news", "action":"flash", "data":{"id":9007199254740993, "big":1e400, "ü":"\\u00fc"} }';
    await plain.publish('bytes:WebSocket:SendMessageToAll', text);
    await ada.next('news', 'flash');
    expect(texts).toEqual([text]);
    const junk = ['7', '[]', '{"type":7}', 'null', '{"type":"a"}', '{"action":"a"}', '{"type":"a","action":7}'];
    for (const text of junk) await plain.publish('bytes:WebSocket:SendMessageToAll', text);
    await until(() => app.server.status.counters.junk === junk.length);
  });

  it('are read in a time that grows with the message alone, also where it has no end', async () => {
    const app = await start({ options: { prefix: 'endless', redis: redis.url } });
    const ada = await app.connect();
    // To begin anew at each of its quotes would take minutes.
    await plain.publish('endless:WebSocket:SendMessageToAll', `${'"a\\'.repeat(300_000)}1234567890123456`);
    await plain.publish('endless:WebSocket:SendMessageToAll', JSON.stringify(message('behind')));
    expect(await ada.next('news', 'flash')).toEqual(message('behind'));
    expect(app.server.status.counters.junk).toBe(1);
  });

  it('bring an integer that JavaScript would round as a text', async () => {
    const heard: unknown[] = [];
    const app = await start({
      options: {
        prefix: 'exact',
        redis: redis.url,
        subscriberEventHandler: ({ channel, message: told }) => channel === Event.Custom && heard.push(told),
      },
    });
    const ids = ['9007199254740993', '9007199254740992'];
    const [exact, rounded] = [await app.connect(), await app.connect()];
    await exact.join('red', { userId: ids[0] });
    await rounded.join('red', { userId: ids[1] });
    const text =
      '{"id":-9007199254740993,"in":["9007199254740993 \\"9007199254740993",9007199254740993],"safe":9007199254740991,' +
      `"even":9007199254740994,"round":100000000000000000000,"half":0.1234567890123456,"power":1e30,"long":1${'0'.repeat(308)}1}`;
    await plain.publish(`exact:${Event.Custom}`, text);
    await until(() => heard.length === 1);
    expect(heard).toEqual([
      {
        id: '-9007199254740993',
        in: ['9007199254740993 "9007199254740993', '9007199254740993'],
        safe: 9_007_199_254_740_991,
        even: 9_007_199_254_740_994,
        round: 1e20,
        half: 0.1234567890123456,
        power: 1e30,
        long: `1${'0'.repeat(308)}1`,
      },
    ]);
    await plain.publish(`exact:${Event.DisconnectUser}`, `{"userId":${ids[0]}}`);
    await exact.closed;
    await rounded.settle();
  });

  it('let a join fail with UNAVAILABLE while Redis refuses to subscribe, and hold it once Redis allows it', async () => {
    const allowed = [
      '&acl:$all',
      '&acl:$events',
      '&acl:$presence',
      '&acl:$node:*',
      '&acl:$room:blue',
      '&acl:WebSocket:*',
    ];
    await redis.run('ACL', 'SETUSER', 'limited', 'on', '>secret', '~*', '+@all', 'resetchannels', ...allowed);
    const url = redis.url.replace('redis://', 'redis://limited:secret@');
    const one = await start({ options: { prefix: 'acl', redis: url } });
    const two = await start({ options: { prefix: 'acl', redis: redis.url } });
    const [ada, bob] = [await one.connect(), await one.connect()];
    ada.send('system', 'joinRoom', { roomName: 'red' }, 'first');
    await bob.join('blue'); // a refusal of one room is none of another
    expect((await ada.take(({ id }) => id === 'first')).data.code).toBe('UNAVAILABLE');
    expect(one.rooms.getRoomClients({ roomName: 'red' })).toEqual([]);
    expect(one.server.status.state).toBe('ready');
    ada.send('system', 'joinRoom', { roomName: 'red' }, 'again');
    await until(() => one.errors.length > 0);
    await redis.run('ACL', 'SETUSER', 'limited', 'allchannels');
    expect((await ada.take(({ id }) => id === 'again')).response.success).toBe(true);
    await two.service.sendToRooms(['red'], message('heard'));
    expect(await ada.next('news', 'flash')).toEqual(message('heard'));
  });

  it('make a service reject while Redis is away, with the local members served', async () => {
    const proxy = await TcpProxy.start(redis.port);
    const app = await start({ options: { prefix: 'away', redis: proxy.url } });
    const ada = await app.connect();
    await ada.join('red');
    proxy.cut();
    await until(() => app.server.status.state === 'down');
    await expect(app.service.sendToRooms(['red'], message('local'))).rejects.toMatchObject({ code: 'NOT_PUBLISHED' });
    expect(await ada.next('news', 'flash')).toEqual(message('local'));
    await expect(app.service.publish('x', 1)).rejects.toMatchObject({ code: 'NOT_PUBLISHED' });
    const before = app.server.status.counters.unpublished;
    app.server.broadcastToRoom({ roomName: 'red', data: message('sync') });
    expect(app.server.status.counters.unpublished).toBe(before + 1);
    expect(await ada.next('news', 'flash')).toEqual(message('sync'));
    proxy.heal();
    await until(() => app.server.status.state === 'ready');
    await app.service.sendToRooms(['red'], message('back'));
    await proxy.stop();
  });
});
