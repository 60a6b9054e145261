import { afterEach, describe, expect, it } from '@jest/globals';
import {
  BadRequestException,
  type CallHandler,
  type CanActivate,
  Catch,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  ServiceUnavailableException,
  UseFilters,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { MessageBody } from '@nestjs/websockets';
import { map, type Observable, of } from 'rxjs';
import { PeerError, StreamSignal, WebSocketService, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Frame, Peer } from '../support/peer.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const SESSION = 'a-session-of-a-client';
let asked = 0;

@Injectable()
class Asked implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    asked++;
    return context.switchToWs().getData<{ isRefused?: boolean }>().isRefused !== true;
  }
}

@Injectable()
class Doubling implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(map((value: { n: number }) => ({ ...value, n: 2 * value.n })));
  }
}

@Catch(RangeError)
class RangeFilter {
  catch(): never {
    throw new PeerError('OUT_OF_RANGE', 'Too far.', { max: 3 });
  }
}

@Injectable()
class Shop {
  runs: unknown[] = [];
  ends: ((value?: unknown) => void)[] = [];
  fails: unknown[] = [];
  signal: AbortSignal | undefined;

  constructor(private readonly service: WebSocketService) {}

  @WsRoute('shop', 'buy', { idempotent: true })
  @WsRoute('shop', 'sell', { idempotent: { windowMs: 60_000 } })
  buy(@MessageBody() data: unknown): { n: number } {
    return { n: this.runs.push(data) };
  }

  @WsRoute('shop', 'guarded', { idempotent: true })
  @UseGuards(Asked)
  @UseInterceptors(Doubling)
  guarded(@MessageBody() data: unknown): { n: number } {
    return this.buy(data);
  }

  @WsRoute('shop', 'wait', { idempotent: true })
  @WsRoute('shop', 'waitBriefly', { idempotent: { windowMs: 1_000 } })
  @UseInterceptors(Doubling)
  async wait(@MessageBody() data: unknown, @StreamSignal() signal: AbortSignal): Promise<unknown> {
    this.signal = signal;
    this.runs.push(data);
    await new Promise((resolve) => this.ends.push(resolve));
    return { n: 21 };
  }

  @WsRoute('shop', 'fail', { idempotent: true })
  @WsRoute('shop', 'failAgain', { idempotent: { rerun: true } })
  @UseFilters(RangeFilter)
  fail(@MessageBody() data: unknown): unknown {
    this.runs.push(data);
    if (this.fails.length > 0) throw this.fails.shift();
    return 'well';
  }

  @WsRoute('shop', 'long', { idempotent: true })
  long(@MessageBody() data: unknown): string {
    this.runs.push(data);
    return 'x'.repeat(70_000);
  }

  @WsRoute('shop', 'nothing', { idempotent: true })
  nothing(@MessageBody() data: unknown): void {
    this.runs.push(data);
  }

  @WsRoute('shop', 'stream', { idempotent: true })
  stream(): unknown {
    return [of(1, 2)][0];
  }

  @WsRoute('shop', 'say', { idempotent: true })
  async say(@MessageBody() text: string): Promise<unknown> {
    this.runs.push(text);
    return this.service.publishToRoom('chat:1', { type: 'chat', action: 'said', data: text });
  }
}

let running: RunningApp[] = [];
let stops: (() => unknown)[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.close()));
  for (const stop of stops.splice(0)) await stop();
});

async function start(redis?: string, drain?: object, handlerTimeoutMs = 10_000): Promise<RunningApp & { shop: Shop }> {
  const one = await startApp({
    options: {
      redis,
      ...(drain && { drain }),
      messages: { handlerTimeoutMs },
      rooms: { history: [{ match: 'chat:*' }], authorizePublish: () => true },
      auth: {
        required: false,
        authenticate: ({ headers }) =>
          headers['authorization'] ? { userId: decodeURIComponent(headers['authorization']), payload: {} } : null,
      },
    },
    providers: [Shop],
  });
  running.push(one);
  return { ...one, shop: one.app.get(Shop) };
}

/** A connection of a user, or of nobody with a session. */
async function connect(to: RunningApp, userId?: string, session = SESSION): Promise<Peer> {
  const peer = await to.connect(userId ? { headers: { authorization: encodeURIComponent(userId) } } : {});
  await peer.request('system', 'session', { session });
  return peer;
}

let lastId = 0;
async function ask(peer: Peer, action: string, key: string, data: unknown = {}, type = 'shop'): Promise<Frame> {
  const id = `k${++lastId}`;
  peer.sendRaw(JSON.stringify({ type, action, data, key, id }));
  const frame = await peer.take((one) => one.id === id);
  return frame.type === 'error' ? frame.data : frame.response;
}

const kinds: [string, () => Promise<string | undefined>][] = [['in memory', async () => undefined]];
if (hasRedis())
  kinds.push([
    'in Redis',
    async () => {
      const redis = await TestRedis.start();
      stops.push(() => redis.stop());
      return redis.url;
    },
  ]);

describe.each(kinds)('an idempotent route with its keys %s', (_where, redisUrl) => {
  it('C5: takes no key with half a character: UTF-8 makes all of them the same', async () => {
    const app = await start(await redisUrl());
    const peer = await app.connect();
    for (const key of ['\ud800', 'a\udc00'])
      expect(await ask(peer, 'buy', key, { item: key })).toMatchObject({ code: 'BAD_FRAME' });
    expect(await ask(peer, 'buy', '\ud83d\udca5')).not.toHaveProperty('code');
  });

  it('C5: takes no message that says of its tries what it cannot read', async () => {
    const app = await start(await redisUrl());
    const peer = await connect(app);
    const odd = [{ key: 1 }, { key: '' }, ...['1500', -1, null, {}].map((sentMsAgo) => ({ key: 'k', sentMsAgo }))];
    for (const fields of [...odd, { key: 'k', round: '1' }, { round: null }]) {
      peer.sendRaw(JSON.stringify({ type: 'shop', action: 'buy', data: {}, id: 'odd', ...fields }));
      expect((await peer.take(({ id }) => id === 'odd')).data).toMatchObject({ code: 'BAD_FRAME' });
    }
    expect(app.shop.runs).toEqual([]);
  });

  it('C5: runs its handler once for a key, and gives every try the first reply', async () => {
    const app = await start(await redisUrl());
    const peer = await connect(app);
    expect(await ask(peer, 'buy', 'one', 'a')).toEqual({ n: 1 });
    expect(await ask(peer, 'buy', 'one', 'a')).toEqual({ n: 1 });
    expect(await ask(await connect(app), 'buy', 'one', 'a')).toEqual({ n: 1 });
    expect(await ask(peer, 'buy', 'two', 'b')).toEqual({ n: 2 });
    expect(await ask(peer, 'nothing', 'one', 'c')).toBe(null);
    expect(await ask(peer, 'nothing', 'one', 'c')).toBe(null);
    expect(app.shop.runs).toEqual(['a', 'b', 'c']);
    expect(app.errors).toEqual([]);
  });

  it('C5: knows the keys of one user, session and route apart from those of others', async () => {
    const app = await start(await redisUrl());
    const peers = [
      await connect(app, 'ada'),
      await connect(app, 'bob'),
      await connect(app),
      await connect(app, undefined, 'another-session-of-a-client'),
    ];
    for (const [n, peer] of peers.entries()) expect(await ask(peer, 'buy', 'same', n)).toEqual({ n: n + 1 });
    expect(await ask(peers[0] as Peer, 'sell', 'same', 4)).toEqual({ n: 5 });
    expect(await ask(await connect(app, 'bob', 'bobs-other-browser'), 'buy', 'same')).toEqual({ n: 2 });
  });

  it('C5: takes no part of a user’s id for a part of another one’s key', async () => {
    const app = await start(await redisUrl());
    const odd = await connect(app, 'ada\nshop/buy\nx');
    expect(await ask(odd, 'buy', 'k', 'hers')).toEqual({ n: 1 });
    expect(await ask(await connect(app, 'ada'), 'buy', 'x\nshop/buy\nk', 'another')).toEqual({ n: 2 });
  });

  it('C5: handles a key of two tabs of one user once, and both get the reply', async () => {
    const app = await start(await redisUrl());
    const tabs = [
      await connect(app, 'ada', 'the-session-of-one-tab'),
      await connect(app, 'ada', 'the-session-of-another'),
    ];
    const replies = tabs.map((tab) => ask(tab, 'wait', 'both'));
    await until(() => app.shop.ends.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 60));
    app.shop.ends[0]?.();
    expect(await Promise.all(replies)).toEqual([{ n: 42 }, { n: 42 }]);
    expect(app.shop.runs).toHaveLength(1);
  });

  it('C5: asks the guards each time, and shows a refused sender no reply', async () => {
    const app = await start(await redisUrl());
    const peer = await connect(app);
    asked = 0;
    expect(await ask(peer, 'guarded', 'one', { isRefused: true })).toMatchObject({ code: 'FORBIDDEN' });
    expect(await ask(peer, 'guarded', 'one')).toEqual({ n: 2 });
    expect(await ask(peer, 'guarded', 'one')).toEqual({ n: 2 });
    expect(await ask(peer, 'guarded', 'one', { isRefused: true })).toMatchObject({ code: 'FORBIDDEN' });
    expect(asked).toBe(4);
    expect(app.shop.runs).toHaveLength(1);
  });

  it('C5: keeps the reply for a client that left before it came', async () => {
    const app = await start(await redisUrl());
    const peer = await connect(app);
    peer.sendRaw(JSON.stringify({ type: 'shop', action: 'wait', key: 'left', id: 1, data: {} }));
    await until(() => app.shop.ends.length === 1);
    peer.terminate();
    await until(() => app.clients.getClients().length === 0);
    const again = ask(await connect(app), 'wait', 'left');
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(app.shop.signal?.aborted).toBe(false); // the client is expected back
    app.shop.ends[0]?.();
    expect(await again).toEqual({ n: 42 });
    expect(await ask(await connect(app), 'wait', 'left')).toEqual({ n: 42 });
    expect(app.shop.runs).toHaveLength(1);
    expect(app.errors).toEqual([]);
  });

  it('C5: knows a key while its handler runs, also for longer than its window', async () => {
    const app = await start(await redisUrl());
    const first = ask(await connect(app), 'waitBriefly', 'k');
    await until(() => app.shop.ends.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const peer = await connect(app);
    const again = ask(peer, 'waitBriefly', 'k');
    await peer.settle();
    app.shop.ends[0]?.();
    expect(await Promise.all([first, again])).toEqual([{ n: 42 }, { n: 42 }]);
    expect(app.shop.runs).toHaveLength(1);
  });

  const ends: [string, number, (peer: Peer) => Promise<unknown>][] = [
    ['is cancelled', 60_000, (peer) => Promise.resolve(peer.send('system', 'cancel', undefined, 'again'))],
    ['takes too long', 300, () => Promise.resolve()],
  ];
  it.each(ends)('C5: lets go of a second try that %s while the first one runs', async (how, timeoutMs, end) => {
    const app = await start(await redisUrl(), undefined, timeoutMs);
    const [first, second, leaving] = [await connect(app), await connect(app), await connect(app)];
    const wait = { type: 'shop', action: 'wait', key: 'long', id: 'again', data: {} };
    first.sendRaw(JSON.stringify(wait));
    await until(() => app.shop.ends.length === 1);
    for (const peer of [second, leaving]) {
      peer.sendRaw(JSON.stringify(wait));
      await peer.settle();
    }
    await end(second);
    const code = how === 'is cancelled' ? 'CANCELLED' : 'TIMEOUT';
    expect(await second.take(({ id }) => id === 'again')).toMatchObject({ data: { code } });
    leaving.terminate();
    await until(() => app.clients.size === 2);
    expect(await ask(second, 'buy', 'another')).toEqual({ n: 2 }); // the process goes on
    app.shop.ends[0]?.();
    expect(await ask(second, 'wait', 'long')).toEqual({ n: 42 });
    expect(app.shop.runs).toHaveLength(2);
    expect(app.errors).toEqual([]);
  });

  it('keeps refusals that are meant, as filters made them', async () => {
    const app = await start(await redisUrl());
    const peer = await connect(app);
    app.shop.fails = [
      new BadRequestException({ message: 'Not so.', code: 'ODD', details: [1] }),
      new RangeError('far'),
    ];
    for (const action of ['fail', 'fail'])
      expect(await ask(peer, action, 'odd')).toMatchObject({ error: 'Not so.', code: 'ODD', details: [1] });
    for (const action of ['fail', 'fail'])
      expect(await ask(peer, action, 'far')).toMatchObject({ code: 'OUT_OF_RANGE', details: { max: 3 } });
    expect(app.shop.runs).toHaveLength(2);
  });

  it.each(['UNAVAILABLE', 'RATE_LIMITED', 'TIMEOUT'])('never keeps %s', async (code) => {
    const app = await start(await redisUrl());
    const peer = await connect(app);
    app.shop.fails = [code === 'UNAVAILABLE' ? new ServiceUnavailableException() : new PeerError(code, 'Later.')];
    expect(await ask(peer, 'fail', 'later')).toMatchObject({ code });
    expect(await ask(peer, 'fail', 'later')).toBe('well');
    expect(await ask(peer, 'fail', 'later')).toBe('well');
    expect(app.shop.runs).toHaveLength(2);
  });

  it('C5: leaves in doubt what a bug interrupted, unless the route may run again', async () => {
    const app = await start(await redisUrl());
    const peer = await connect(app);
    app.shop.fails = [new Error('a bug'), new Error('another')];
    expect(await ask(peer, 'fail', 'bug')).toMatchObject({ code: 'INTERNAL' });
    expect(await ask(peer, 'fail', 'bug')).toMatchObject({ code: 'IN_DOUBT', details: { isHandled: false } });
    expect(await ask(peer, 'failAgain', 'bug')).toMatchObject({ code: 'INTERNAL' });
    expect(await ask(peer, 'failAgain', 'bug')).toBe('well');
    expect(app.shop.runs).toHaveLength(3);
  });

  it('answers TIMEOUT for a handler that takes too long, and later what came of it', async () => {
    const app = await start(await redisUrl(), undefined, 500);
    const peer = await connect(app);
    expect(await ask(peer, 'wait', 'slow')).toMatchObject({ code: 'TIMEOUT' });
    const again = ask(peer, 'wait', 'slow');
    app.shop.ends[0]?.();
    expect(await again).toEqual({ n: 42 });
    expect(app.shop.runs).toHaveLength(1);
  });

  it('says that it handled what had too long a reply to be kept', async () => {
    const app = await start(await redisUrl());
    const peer = await connect(app);
    expect(await ask(peer, 'long', 'l')).toHaveLength(70_000);
    expect(await ask(peer, 'long', 'l')).toMatchObject({ code: 'IN_DOUBT', details: { isHandled: true } });
    expect(app.shop.runs).toHaveLength(1);
  });

  it('refuses a stream that it could not see at the start', async () => {
    const app = await start(await redisUrl());
    expect(await ask(await connect(app), 'stream', 's')).toMatchObject({ code: 'INTERNAL' });
    expect(String(app.errors[0])).toMatch(/"shop\/stream" is idempotent, but its handler returned a stream/);
  });

  it('publishes a message that is sent again at one place, under the key of the request', async () => {
    const app = await start(await redisUrl());
    const peer = await connect(app);
    const first = await ask(peer, 'say', 'hello', 'hi');
    expect(first).toMatchObject({ offset: 1, isDuplicate: false });
    expect(await ask(peer, 'say', 'hello', 'hi')).toEqual(first);
    expect(await ask(peer, 'say', 'other', 'ho')).toMatchObject({ offset: 2 });
  });

  it('sends a message of a member to a room that keeps nothing once for a key', async () => {
    const app = await start(await redisUrl());
    const [ada, bob] = [await connect(app, 'ada'), await connect(app, 'bob')];
    for (const peer of [ada, bob]) await peer.join('lobby');
    const data = { roomName: 'lobby', data: 'hi' };
    for (let n = 0; n < 2; n++)
      expect(await ask(ada, 'publish', 'p', data, 'system')).toEqual({ success: true, data: { roomName: 'lobby' } });
    await ask(ada, 'publish', 'q', { ...data, data: 'last' }, 'system');
    await bob.take(({ action, data: text }) => action === 'publication' && text === 'last');
    expect(bob.received.filter(({ action }) => action === 'publication')).toHaveLength(1);
  });
});

describe('an idempotent route', () => {
  const refusal = async (options: object, method: (...args: never[]) => unknown = () => 1): Promise<string> => {
    class Odd {
      odd(): unknown {
        return undefined;
      }
    }
    Object.defineProperty(Odd.prototype, 'odd', { value: method, enumerable: true });
    const descriptor = Object.getOwnPropertyDescriptor(Odd.prototype, 'odd') as PropertyDescriptor;
    WsRoute('odd', 'route', options)(Odd.prototype, 'odd', descriptor);
    Injectable()(Odd);
    const outcome = await startApp({ providers: [Odd] }).catch((error: unknown) => String(error));
    if (typeof outcome === 'string') return outcome;
    running.push(outcome);
    return 'it started';
  };

  it('is refused at the start where it streams, has a wrong window, or is of a client', async () => {
    const idempotent = true;
    expect(await refusal({ idempotent }, async function* () {})).toMatch(/Odd\.odd .*idempotent and streams/);
    expect(await refusal({ idempotent: { windowMs: 10 } })).toMatch(
      /idempotent\.windowMs: 10".* from 1000 to 86400000/,
    );
    expect(await refusal({ idempotent: { windowMS: 2_000 } })).toMatch(
      /Odd\.odd .*"idempotent.windowMS" is not an option: did you mean "idempotent.windowMs"\?/,
    );
    for (const odd of [null, 'yes', 1, 0])
      expect(await refusal({ idempotent: odd })).toMatch(/neither true, false nor/);
    expect(await refusal({ idempotent, client: 'other' })).toMatch(/only routes of a server can be idempotent/);
    expect(await refusal({ idempotent: false }, async function* () {})).toBe('it started');
  });

  it('runs for each message without a key, and for each connection that has no session', async () => {
    const { shop, ...app } = await start();
    const [one, two] = [await app.connect(), await app.connect()];
    expect((await one.request('shop', 'buy')).response).toEqual({ n: 1 });
    expect((await one.request('shop', 'buy')).response).toEqual({ n: 2 });
    expect(await ask(one, 'buy', 'k')).toEqual({ n: 3 });
    expect(await ask(one, 'buy', 'k')).toEqual({ n: 3 });
    expect(await ask(two, 'buy', 'k')).toEqual({ n: 4 });
    expect(shop.runs).toHaveLength(4);
  });
});

(hasRedis() ? describe : describe.skip)('an idempotent route of two nodes', () => {
  const redisUrl = kinds[1]?.[1] as () => Promise<string>;

  it('C5: waits for the handler of the other node, and gives its reply', async () => {
    const url = await redisUrl();
    const [one, two] = [await start(url), await start(url)];
    const first = ask(await connect(one), 'wait', 'both');
    await until(() => one.shop.ends.length === 1);
    const second = ask(await connect(two), 'wait', 'both');
    await new Promise((resolve) => setTimeout(resolve, 50));
    one.shop.ends[0]?.();
    expect(await Promise.all([first, second])).toEqual([{ n: 42 }, { n: 42 }]);
    expect(two.shop.runs).toEqual([]);
  });

  it('answers UNAVAILABLE while Redis is away, and runs nothing', async () => {
    const redis = await TestRedis.start();
    stops.push(() => redis.stop());
    const app = await start(redis.url);
    const peer = await connect(app);
    expect(await ask(peer, 'buy', 'before')).toEqual({ n: 1 });
    await redis.kill();
    await until(() => app.errors.length > 0);
    const refusal = await ask(peer, 'buy', 'away');
    expect(refusal).toMatchObject({ code: 'UNAVAILABLE', details: { retryAfterMs: 1_000 } }); // so our client waits
    expect(refusal['error']).toMatch(/before \(Redis did not answer\)\. It was not handled now\./); // nothing of its library
    expect(app.shop.runs).toHaveLength(1);
    await redis.start();
    await until(async () => (await ask(peer, 'buy', 'away')).n === 2);
    expect(app.shop.runs).toHaveLength(2);
  });

  it('C5: hands over what runs while it stops', async () => {
    const url = await redisUrl();
    const [one, two] = [await start(url), await start(url)];
    const peer = await connect(one);
    peer.sendRaw(JSON.stringify({ type: 'shop', action: 'wait', key: 'drain', id: 1, data: {} }));
    await until(() => one.shop.ends.length === 1);
    const closing = one.close();
    await peer.closed;
    const again = ask(await connect(two), 'wait', 'drain');
    one.shop.ends[0]?.();
    expect(await again).toEqual({ n: 42 });
    await closing;
    expect(two.shop.runs).toEqual([]);
  });

  it('C5: waits for what runs as long as its drain may take', async () => {
    const url = await redisUrl();
    const [one, two] = [await start(url, { spreadMs: 0, terminateAfterMs: 8_000 }), await start(url)];
    const peer = await connect(one);
    peer.sendRaw(JSON.stringify({ type: 'shop', action: 'wait', key: 'long', id: 1, data: {} }));
    await until(() => one.shop.ends.length === 1);
    const closing = one.close();
    await peer.closed;
    await new Promise((resolve) => setTimeout(resolve, 1_500)); // it has no client any more
    one.shop.ends[0]?.();
    await closing;
    expect(await ask(await connect(two), 'wait', 'long')).toEqual({ n: 42 });
    expect(two.shop.runs).toEqual([]);
  });
});
