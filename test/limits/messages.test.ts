import { afterEach, describe, expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { concat, NEVER, type Observable, of } from 'rxjs';
import { type ConnectedClient, type WebSocketOptions, WsGateway, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Frame, Peer } from '../support/peer.js';

let running: RunningApp;
let handled: number;
afterEach(() => running.close());

@WsGateway('work')
class Work {
  @WsRoute('do')
  do(): string {
    handled++;
    return 'done';
  }

  @WsRoute('count')
  count(): Observable<number> {
    return concat(of(1), NEVER);
  }
}

async function start(limits: WebSocketOptions['limits'], options: WebSocketOptions = {}): Promise<void> {
  handled = 0;
  running = await startApp({ providers: [Work], options: { limits, ...options } });
}

const isRefusal = (frame: Frame): boolean => frame.data?.code === 'RATE_LIMITED';

/** So many requests at once; the answers in the order they came. */
async function burst(peer: Peer, count: number, data?: unknown): Promise<Frame[]> {
  for (let n = 0; n < count; n++) peer.send('work', 'do', data, `burst-${n}`);
  const answers: Frame[] = [];
  for (let n = 0; n < count; n++) answers.push(await peer.take(({ id }) => id === `burst-${n}`));
  return answers;
}

/** Goes about its business at half the rate until `isOver`. */
async function expectUndisturbed(peer: Peer, isOver: Promise<unknown>): Promise<void> {
  const state = { isOver: false };
  void isOver.finally(() => (state.isOver = true));
  do {
    expect((await peer.request('work', 'do')).response).toBe('done');
    await pause(65);
  } while (!state.isOver);
}

describe('messages over the rate', () => {
  it('are answered with RATE_LIMITED and the time to wait, and not handled', async () => {
    await start({ messages: { perSecond: 1, burst: 5 } });
    const [peer, bystander] = [await running.connect(), await running.connect()];
    const answers = await burst(peer, 8);
    expect(answers.map(isRefusal)).toEqual([false, false, false, false, false, true, true, true]);
    expect(handled).toBe(5);
    expect(answers[5]).toMatchObject({
      type: 'error',
      action: 'message',
      id: 'burst-5',
      data: {
        code: 'RATE_LIMITED',
        type: 'work',
        action: 'do',
        details: { retryAfterMs: expect.any(Number), gapMs: 1_000 },
      },
    });
    const { retryAfterMs } = answers[7].data.details;
    expect(retryAfterMs).toBeGreaterThan(0);
    expect(retryAfterMs).toBeLessThanOrEqual(1_000);
    expect((await bystander.request('work', 'do')).response).toBe('done');
    await pause(retryAfterMs + 5);
    expect((await peer.request('work', 'do')).response).toBe('done');
  });

  it('by one burst of 100 cost answers, not the connection', async () => {
    await start({});
    const [peer, bystander] = [await running.connect(), await running.connect()];
    const [answers] = await Promise.all([burst(peer, 100), burst(bystander, 20)]);
    const refused = answers.filter(isRefusal).length;
    expect(refused).toBeLessThanOrEqual(40);
    expect(refused).toBeGreaterThan(20);
    expect(handled).toBe(120 - refused);
    await pause(100);
    expect((await peer.request('work', 'do')).response).toBe('done');
  });

  it('for three seconds of ten close with 4108', async () => {
    await start({});
    const [peer, bystander] = [await running.connect(), await running.connect()];
    const since = performance.now();
    const insisting = setInterval(() => peer.ws.readyState === peer.ws.OPEN && peer.send('work', 'do'), 10);
    await expectUndisturbed(bystander, peer.closed);
    clearInterval(insisting);
    expect(await peer.closed).toEqual({ code: 4108, reason: 'too many messages' });
    expect(performance.now() - since).toBeGreaterThan(2_000);
    expect(running.clients.size).toBe(1);
  });

  it('in a flood close at once, after few answers', async () => {
    await start({});
    const [peer, bystander] = [await running.connect(), await running.connect()];
    for (let n = 0; n < 20_000; n++) peer.send('work', 'do', null, n);
    await expectUndisturbed(bystander, peer.closed);
    expect((await peer.closed).code).toBe(4108);
    expect(peer.received.filter(isRefusal).length).toBeLessThanOrEqual(120);
    expect(peer.received.length).toBeLessThan(250);
    expect(handled).toBeLessThan(150);
  });

  it('are forgiven after the window', async () => {
    await start({ messages: { perSecond: 20, burst: 2, strikes: 2, strikeWindowMs: 200 } });
    const peer = await running.connect();
    for (let round = 0; round < 4; round++) {
      expect((await burst(peer, 3)).some(isRefusal)).toBe(true);
      await pause(300);
    }
    expect((await peer.request('work', 'do')).response).toBe('done');
  });

  it('may be as large as one message may be, however low the rate of bytes', async () => {
    await start({ messages: { bytesPerSecond: 1_000 } });
    const [peer, bystander] = [await running.connect(), await running.connect()];
    const padding = 'x'.repeat(65_000);
    const answers = await burst(peer, 2, padding);
    expect(answers.map(isRefusal)).toEqual([false, true]);
    expect(answers[1].data.details.retryAfterMs).toBeGreaterThan(50_000);
    expect((await bystander.request('work', 'do', padding)).response).toBe('done');
  });

  const kinds: [kind: string, send: (peer: Peer) => void][] = [
    ['system/ping', (peer) => peer.send('system', 'ping')],
    ['system/cancel', (peer) => peer.send('system', 'cancel', undefined, 7)],
    ['frames that are none', (peer) => peer.sendRaw('{')],
    ['frames of bytes', (peer) => peer.sendRaw(Buffer.from('{"type":"system","action":"ping"}'))],
    ['answers', (peer) => peer.sendRaw('{"type":"a","action":"b","id":7,"response":1}')],
    ['errors', (peer) => peer.sendRaw('{"type":"error","action":"message","id":7,"data":{}}')],
    ['protocol pings', (peer) => peer.ws.ping()],
    ['protocol pongs', (peer) => peer.ws.pong()],
  ];
  it.each(kinds)('count %s, too', async (_kind, send) => {
    await start({ messages: { perSecond: 0.1, burst: 3 } });
    const [peer, bystander] = [await running.connect(), await running.connect()];
    for (let n = 0; n < 3; n++) send(peer);
    expect(isRefusal(await peer.request('work', 'do'))).toBe(true);
    expect((await bystander.request('work', 'do')).response).toBe('done');
  });

  it('that cancel are accepted; their error frame has no id, as somebody else waits for that id', async () => {
    await start({ messages: { perSecond: 0.1, burst: 1 } });
    const peer = await running.connect();
    peer.send('work', 'count', null, 7);
    await peer.take((frame) => frame.id === 7 && frame.response === 1);
    peer.send('system', 'cancel', undefined, 7);
    expect((await peer.take((frame) => frame.id === 7 && frame.response === undefined)).done).toBe(true);
    expect(await peer.error()).toMatchObject({ data: { code: 'RATE_LIMITED' } });
    expect(peer.received.filter(isRefusal)).toEqual([]);
  });

  it('are not counted where they answer what the server asked, however much that is', async () => {
    await start({ messages: { perSecond: 0.1, burst: 2, strikes: 1 } });
    const peer = await running.connect();
    const client = running.clients.getClient(peer) as ConnectedClient;
    const asked = Array.from({ length: 50 }, (_, n) => client.request('quiz', 'question', n));
    for (let n = 0; n < 50; n++) {
      const { id, data } = await peer.next('quiz', 'question');
      peer.sendRaw(JSON.stringify({ type: 'quiz', action: 'question', id, response: data * 2 }));
    }
    expect(await Promise.all(asked)).toEqual(Array.from({ length: 50 }, (_, n) => n * 2));
    expect((await peer.request('work', 'do')).response).toBe('done');
    expect(peer.received).toEqual([]);
  });

  it('do not end a request of the peer when they are late answers under the same id', async () => {
    await start({ messages: { perSecond: 0.1, burst: 1, strikes: 100 } });
    const peer = await running.connect();
    peer.send('work', 'count', null, 1);
    await peer.take((frame) => frame.id === 1 && frame.response === 1);
    for (const answer of ['"response":1', '"done":true', `"response":${'['.repeat(50)}${']'.repeat(50)}`])
      peer.sendRaw(`{"type":"quiz","action":"question","id":1,${answer}}`);
    for (let n = 0; n < 3; n++) expect((await peer.error()).id).toBeUndefined();
  });

  it('are not counted for a silent client', async () => {
    await start({});
    const peer = await running.connect();
    const ws = running.clients.getClient(peer)?.ws as unknown as { connection: { meter: unknown } };
    expect(ws.connection.meter).toBeUndefined();
    await peer.settle();
    expect(ws.connection.meter).toBeDefined();
  });

  it('are all handled with limits.messages: false', async () => {
    await start({ messages: false });
    const answers = await burst(await running.connect(), 1_000);
    expect(answers.some(isRefusal)).toBe(false);
  });
});

describe('leaves over the rate', () => {
  const names = Array.from({ length: 60 }, (_, n) => `room-${n}`);
  const joinAll = async (peer: Peer): Promise<void> => {
    peer.send('system', 'joinRooms', { rooms: names.map((roomName) => ({ roomName })) }, 'all');
    await peer.take(({ id, done }) => id === 'all' && done);
  };
  const leave = (peer: Peer, data: object, id: string): void => peer.send('system', 'leaveRoom', data, id);
  const of = (peer: Peer): string[] => running.rooms.getClientRooms(peer);

  it.each([
    ['of a connection', { messages: { perSecond: 0.1, burst: 2, strikes: 3 } }],
    ['of an address', { messages: false, perIp: { perSecond: 0.1, burst: 2 } }],
  ] as const)('%s are handled, so that nobody stays in a room', async (_, limits) => {
    await start(limits);
    const peer = await running.connect();
    await joinAll(peer);
    expect(of(peer)).toHaveLength(60);
    for (const roomName of names) leave(peer, { roomName }, roomName);
    for (const roomName of names)
      expect((await peer.take(({ id }) => id === roomName)).response).toEqual({ success: true, data: { roomName } });
    expect(of(peer)).toEqual([]);
    expect(isRefusal(await peer.request('work', 'do'))).toBe(true);
  });

  it('are refused for rooms that the client is not in, and with more than a name', async () => {
    await start({ messages: { perSecond: 0.1, burst: 1, strikes: 100 } });
    const peer = await running.connect();
    await joinAll(peer);
    for (let n = 0; n < 12; n++) leave(peer, { roomName: 'elsewhere' }, n === 11 ? 'not in' : `free-${n}`); // ten times the rate
    leave(peer, { roomName: 7 }, 'no name');
    leave(peer, { roomName: 'room-1', more: 'x'.repeat(1_024) }, 'long');
    leave(peer, { roomName: 'room-2' }, 'first');
    leave(peer, { roomName: 'room-2' }, 'again');
    const isRefused = async (name: string): Promise<boolean> => isRefusal(await peer.take(({ id }) => id === name));
    for (const name of ['not in', 'no name', 'long']) expect(await isRefused(name)).toBe(true);
    expect(await isRefused('first')).toBe(false);
    expect(await isRefused('again')).toBe(true);
    expect(of(peer)).toHaveLength(59);
  });

  it('end a flood of them that leaves nothing', async () => {
    await start({});
    const peer = await running.connect();
    await joinAll(peer);
    for (let n = 0; n < 2_000; n++) leave(peer, { roomName: 'room-1' }, `leave-${n}`);
    expect((await peer.closed).code).toBe(4108);
  });
});

describe('messages of a user', () => {
  const users: WebSocketOptions = {
    auth: {
      required: false,
      authenticate: ({ headers }) => (headers.authorization ? { userId: headers.authorization, payload: {} } : null),
    },
  };
  const as = (authorization: string): object => ({ headers: { authorization } });

  it('share one rate over all connections, which closes none of them', async () => {
    await start({ messages: false, perUser: { perSecond: 0.1, burst: 4 }, connectionsPerUser: false }, users);
    const [first, second] = [await running.connect(as('ada')), await running.connect(as('ada'))];
    const other = await running.connect(as('bob'));
    const nobody = await running.connect();
    const answers = [...(await burst(first, 3)), ...(await burst(second, 3))];
    expect(answers.map(isRefusal)).toEqual([false, false, false, false, true, true]);
    expect(answers[5].data.details.retryAfterMs).toBeGreaterThan(5_000);
    expect((await burst(other, 4)).some(isRefusal)).toBe(false);
    expect((await burst(nobody, 10)).some(isRefusal)).toBe(false);
    for (let n = 0; n < 500; n++) second.send('work', 'do');
    expect(isRefusal(await first.request('work', 'do'))).toBe(true);
    await second.take(({ id }) => id === undefined);
    expect(running.clients.size).toBe(4);
  });

  it("can't be used up by who only claims to be that user", async () => {
    await start({ messages: false, perUser: { perSecond: 0.1, burst: 2 } });
    const liar = await running.connect();
    await liar.join('lobby', { userId: 'ada' });
    expect((await burst(liar, 10)).some(isRefusal)).toBe(false);
  });
});

describe('messages of an address', () => {
  const from = (address: string): object => ({ headers: { 'x-forwarded-for': address } });

  it('share one rate over all connections; of IPv6 a whole /64 is one address', async () => {
    await start({ messages: false, perIp: { perSecond: 0.1, burst: 4 } }, { trustProxy: 'loopback' });
    const [first, second] = [
      await running.connect(from('2001:db8:0:1::1')),
      await running.connect(from('2001:db8:0:1:9::2')),
    ];
    const neighbour = await running.connect(from('2001:db8:0:2::1'));
    const answers = [...(await burst(first, 3)), ...(await burst(second, 3))];
    expect(answers.map(isRefusal)).toEqual([false, false, false, false, true, true]);
    expect((await burst(neighbour, 4)).some(isRefusal)).toBe(false);
    expect(running.clients.size).toBe(3);
  });
});
