import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { BadFrameError } from '../../lib/client/client-errors.js';
import { InvalidRouteError, NotSerializableError, PeerError } from '../../lib/errors.js';
import { until } from '../support/until.js';
import { aMoment, cleanUp, connect, deferred, startServer } from './support.js';
import type { Frame } from './support.js';

afterEach(cleanUp);

const boom = (): never => {
  throw new Error('boom');
};
const boomLater = (): Promise<never> => Promise.reject(new Error('boom later'));
/** What can't even be looked at. */
const revoked = (): never => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  throw proxy;
};
const unreadable = (): never => {
  throw Object.defineProperty(new Error('boom'), 'stack', { get: boom });
};
const errorFrame = (id: Frame['id'], data: object): Frame => ({ type: 'error', action: 'message', id, data });

describe('on()', () => {
  it('calls every handler of the route with the data and the context, in order', async () => {
    const { client, peer } = await connect(await startServer());
    const calls: unknown[] = [];
    client.on('chat', 'said', (data, context) => calls.push(['first', data, context]));
    client.on('chat', 'said', (data) => calls.push(['second', data]));
    client.on('chat', 'other', () => calls.push('other'));
    peer.send({ type: 'chat', action: 'said', data: 1 });
    peer.send({ type: 'chat', action: 'said' });
    await client.messages.take();
    await client.messages.take();
    const { ws } = await client.connected.take();
    expect(calls).toEqual([
      ['first', 1, { client, ws, clientId: 'client-1', id: undefined }],
      ['second', 1],
      ['first', undefined, { client, ws, clientId: 'client-1', id: undefined }],
      ['second', undefined],
    ]);
  });

  it('calls handlers in the order of the frames, without waiting for them', async () => {
    const { client, peer } = await connect(await startServer());
    const calls: unknown[] = [];
    client.on('chat', 'slow', async () => {
      calls.push('slow begins');
      await aMoment(30);
      calls.push('slow ends');
    });
    client.on('chat', 'fast', () => calls.push('fast'));
    peer.send({ type: 'chat', action: 'slow' });
    peer.send({ type: 'chat', action: 'fast' });
    await until(() => calls.length === 3);
    expect(calls).toEqual(['slow begins', 'fast', 'slow ends']);
  });

  it('returns a function that removes this handler and no other', async () => {
    const { client, peer } = await connect(await startServer());
    const handler = jest.fn();
    const off = client.on('chat', 'said', handler);
    client.on('chat', 'said', handler);
    off();
    off();
    peer.send({ type: 'chat', action: 'said' });
    await client.messages.take();
    expect(handler).toHaveBeenCalledTimes(1);
  });

  it('keeps its handlers over a reconnect', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server);
    const handler = jest.fn();
    client.on('chat', 'said', handler);
    peer.socket.terminate();
    const second = await server.peers.take();
    second.send({ type: 'chat', action: 'said' });
    await client.messages.take();
    expect(handler).toHaveBeenCalledTimes(1);
  });

  it('refuses an invalid route', async () => {
    const { client } = await connect(await startServer());
    expect(() => client.on('chat/send', 'x', () => undefined)).toThrow(InvalidRouteError);
    expect(() => client.on('chat', '', () => undefined)).toThrow(InvalidRouteError);
  });

  it('reports what a handler of a message throws or rejects with, PeerErrors too, and calls the others', async () => {
    const { client, peer } = await connect(await startServer());
    const last = jest.fn();
    client.on('chat', 'said', () => {
      throw new Error('thrown');
    });
    client.on('chat', 'said', () => Promise.reject(new PeerError('FORBIDDEN', 'rejected')));
    client.on('chat', 'said', last);
    peer.send({ type: 'chat', action: 'said' });
    const texts = [(await client.errors.take()).error.message, (await client.errors.take()).error.message];
    expect(texts).toEqual(['thrown', 'rejected']);
    expect(last).toHaveBeenCalledTimes(1);
    expect(peer.frames.all).toEqual([]);
  });
});

describe('a request of the server', () => {
  const request: Frame = { type: 'quiz', action: 'ask', id: 'q-1', data: 'six times nine' };

  it('is answered with the first value that is not undefined', async () => {
    const { client, peer } = await connect(await startServer());
    client.on('quiz', 'ask', () => undefined);
    client.on('quiz', 'ask', async (data, { id }) => ({ data, id }));
    client.on('quiz', 'ask', () => 'too late');
    peer.send(request);
    const response = { data: 'six times nine', id: 'q-1' };
    expect(await peer.next('quiz', 'ask')).toEqual({ type: 'quiz', action: 'ask', id: 'q-1', response });
    expect(client.messages.all).toHaveLength(1);
  });

  it('is answered with null when no handler returns anything', async () => {
    const { client, peer } = await connect(await startServer());
    client.on('quiz', 'ask', () => undefined);
    peer.send({ ...request, id: 7 });
    expect(await peer.next('quiz', 'ask')).toEqual({ type: 'quiz', action: 'ask', id: 7, response: null });
  });

  it('is answered with UNKNOWN_ROUTE when there is no handler', async () => {
    const { client, peer } = await connect(await startServer());
    peer.send(request);
    expect(await peer.next('error', 'message')).toEqual(
      errorFrame('q-1', {
        error: 'There is no route "quiz/ask".',
        code: 'UNKNOWN_ROUTE',
        type: 'quiz',
        action: 'ask',
      }),
    );
    expect(client.messages.all).toHaveLength(1);
  });

  it('is answered with the code of a PeerError', async () => {
    const { client, peer } = await connect(await startServer());
    client.on('quiz', 'ask', () => Promise.reject(new PeerError('NOT_FOUND', 'No such question.', { n: 1 })));
    peer.send(request);
    expect(await peer.next('error', 'message')).toEqual(
      errorFrame('q-1', {
        error: 'No such question.',
        code: 'NOT_FOUND',
        type: 'quiz',
        action: 'ask',
        details: { n: 1 },
      }),
    );
    expect(client.errors.all).toEqual([]);
  });

  it('is answered with INTERNAL and a fixed sentence for any other throw, whose text stays here', async () => {
    const { client, peer } = await connect(await startServer());
    const failure = new Error('password is hunter2');
    client.on('quiz', 'ask', () => {
      throw failure;
    });
    peer.send(request);
    const answer = await peer.next('error', 'message');
    expect(answer).toMatchObject({ id: 'q-1', data: { code: 'INTERNAL', type: 'quiz', action: 'ask' } });
    expect(JSON.stringify(answer)).not.toContain('hunter2');
    expect((await client.errors.take()).error).toBe(failure);
  });

  it.each([revoked, unreadable])(
    'is answered with INTERNAL for a throw that can not be looked at: %p',
    async (fails) => {
      const { client, peer } = await connect(await startServer());
      client.on('quiz', 'ask', fails);
      peer.send(request);
      expect(await peer.next('error', 'message')).toMatchObject({ id: 'q-1', data: { code: 'INTERNAL' } });
      expect((await client.errors.take()).error.message).toMatch(/^Thrown: /);
    },
  );

  it('is answered with NOT_SERIALIZABLE when the response has no JSON form', async () => {
    const { client, peer } = await connect(await startServer());
    client.on('quiz', 'ask', () => 1n);
    peer.send(request);
    expect(await peer.next('error', 'message')).toMatchObject({ id: 'q-1', data: { code: 'NOT_SERIALIZABLE' } });
    expect((await client.errors.take()).error).toBeInstanceOf(NotSerializableError);
  });

  it('is not answered on a later connection', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server);
    const answer = deferred<string>();
    client.on('quiz', 'ask', () => answer.promise);
    peer.send(request);
    await client.messages.take();
    peer.socket.terminate();
    const second = await server.peers.take();
    await client.until('open');
    answer.resolve('late');
    await aMoment();
    expect(second.frames.all).toEqual([]);
    expect(client.errors.all).toEqual([]);
  });
});

describe('L6: a bad frame never throws', () => {
  const bad: [string, string | Buffer][] = [
    ['text that is no JSON', '{"type":'],
    ['an empty text', ''],
    ['an array', '[{"type":"chat","action":"said"}]'],
    ['null', 'null'],
    ['a number', '42'],
    ['no type', '{"action":"said"}'],
    ['an array for a type', '{"type":["chat"],"action":"said"}'],
    ['a number for an action', '{"type":"chat","action":7}'],
    ['a type with a space', '{"type":"chat room","action":"said"}'],
    ['an object for an id', '{"type":"chat","action":"said","id":{}}'],
    ['an empty id', '{"type":"chat","action":"said","id":""}'],
    ['a fractional id', '{"type":"chat","action":"said","id":1.5}'],
    ['a prototype', '{"type":"chat","action":"said","data":{"__proto__":{"admin":true}}}'],
    ['deep nesting', `{"type":"chat","action":"said","data":${'['.repeat(500)}${']'.repeat(500)}}`],
    ['binary that is no UTF-8', Buffer.from([0xff, 0xfe, 0x00, 0xc3, 0x28])],
    ['a string that is no UTF-8', Buffer.from('{"type":"chat","action":"said","data":"\xff"}', 'latin1')],
    ['binary that is no JSON', Buffer.from('hello')],
    ['no bytes', Buffer.alloc(0)],
  ];

  it.each(bad)('L6: %s', async (_name, frame) => {
    const { client, peer } = await connect(await startServer());
    peer.socket.send(frame);
    peer.send({ type: 'chat', action: 'said', data: 'after' });
    const { error } = await client.errors.take();
    expect(error).toBeInstanceOf(BadFrameError);
    expect(error).toMatchObject({ code: 'BAD_FRAME', message: expect.stringMatching(/^Bad frame: .+\./) });
    expect((await client.messages.take()).data.data).toBe('after');
    expect(client.errors.all).toHaveLength(1);
    expect(client.state).toBe('open');
    expect(peer.frames.all).toEqual([]);
  });

  it('L6: replies and errors of every wrong shape', async () => {
    const { client, peer } = await connect(await startServer());
    for (const frame of [
      '{"type":"chat","action":"said","id":1,"response":1}',
      '{"type":"chat","action":"said","id":-1,"done":true}',
      '{"type":"chat","action":"said","done":true,"more":true}',
      '{"type":"error","action":"message","data":5}',
      '{"type":"error","action":"message","data":{"error":[],"code":{}}}',
      '{"type":"system","action":"leftRoom","data":[]}',
      '{"type":"system","action":"leftRoom","data":{"roomName":{}}}',
      '{"type":"system","action":"connected","data":{"clientId":"again"}}',
    ]) {
      peer.socket.send(frame);
    }
    peer.send({ type: 'chat', action: 'last' });
    await client.messages.take(({ data }) => data.action === 'last');
    expect(client.state).toBe('open');
    expect(client.clientId).toBe('client-1');
  });

  it('reads binary frames that hold the same JSON', async () => {
    const { client, peer } = await connect(await startServer());
    peer.socket.send(Buffer.from('{"type":"chat","action":"said","data":"ü"}'));
    expect((await client.messages.take()).data).toEqual({ type: 'chat', action: 'said', data: 'ü' });
  });

  it('comes back after a frame that breaks the WebSocket protocol itself', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server);
    peer.request.socket.write(Buffer.from([0xff, 0xff, 0xff, 0xff]));
    expect((await client.errors.take()).error.message).toMatch(/^The connection broke: /);
    expect(await client.disconnected.take()).toMatchObject({ willReconnect: true });
    await client.until('open');
  });

  it('comes back after a message longer than maxPayload', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server, { maxPayload: 1_000 });
    peer.send({ type: 'chat', action: 'said', data: 'x'.repeat(1_000) });
    expect((await peer.closed).code).toBe(1009);
    await client.until('open');
    expect(client.messages.all).toEqual([]);
  });
});

describe('event callbacks', () => {
  it.each([
    ['throw', boom, 'boom'],
    ['reject', boomLater, 'boom later'],
    ['throw what can not be looked at', revoked, 'Thrown: object'],
  ])('that %s go to onError and break nothing', async (_name, callback, text) => {
    const server = await startServer();
    const events = {
      onConnected: callback,
      onDisconnected: callback,
      onMessage: callback,
      onReconnecting: callback,
      onStateChanged: callback,
    };
    const { client, peer } = await connect(server, { events });
    const handler = jest.fn();
    client.on('chat', 'said', handler);
    peer.send({ type: 'chat', action: 'said' });
    peer.socket.close(1012);
    const second = await server.peers.take();
    await client.connectToServer();
    second.send({ type: 'chat', action: 'said' });
    // connecting, open, onConnected, onMessage, reconnecting, onDisconnected, onReconnecting, open, onConnected, onMessage
    for (let count = 0; count < 10; count += 1) expect((await client.errors.take()).error.message).toBe(text);
    expect(handler).toHaveBeenCalledTimes(2);
    expect(client.state).toBe('open');
  });

  it.each([
    ['throws', boom],
    ['rejects', boomLater],
    ['throws what can not be looked at', revoked],
    ['throws what can not be written', unreadable],
    ['is missing', undefined],
  ])('write to the console when onError itself %s', async (_name, onError) => {
    const write = jest.spyOn(console, 'error').mockImplementation(() => undefined);
    try {
      const { client, peer } = await connect(await startServer(), { events: { onError } });
      peer.socket.send('nonsense');
      peer.send({ type: 'chat', action: 'said' });
      await client.messages.take();
      await aMoment(10);
      expect(write).toHaveBeenCalledTimes(1);
      expect(write).toHaveBeenCalledWith('[WebSocketClient]', expect.any(Error));
      expect(client.state).toBe('open');
    } finally {
      write.mockRestore();
    }
  });

  it('get the socket and the id of the connection', async () => {
    const { client, peer } = await connect(await startServer());
    const { ws, clientId } = await client.connected.take();
    expect(clientId).toBe('client-1');
    expect(ws.readyState).toBe(1);
    peer.send({ type: 'chat', action: 'said', data: [1] });
    expect(await client.messages.take()).toEqual({
      ws,
      clientId: 'client-1',
      data: { type: 'chat', action: 'said', data: [1] },
    });
  });
});
