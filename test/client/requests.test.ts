import { afterEach, describe, expect, it } from '@jest/globals';
import { defer, NEVER, type Observable } from 'rxjs';
import {
  ConnectionError,
  InvalidOptionsError,
  InvalidRouteError,
  NotSerializableError,
  RemoteError,
  TimeoutError,
} from '../../lib/errors.js';
import { WsRoute } from '../../lib/index.js';
import { startApp } from '../support/app.js';
import { aMoment, cleanUp, connect, onCleanUp, startServer, TestClient } from './support.js';

afterEach(cleanUp);

describe('sendClientMessage()', () => {
  it('sends JSON, as text or as bytes', async () => {
    const { client, peer } = await connect(await startServer());
    const received: [string, boolean][] = [];
    peer.socket.on('message', (data, isBinary) => received.push([(data as Buffer).toString(), isBinary]));
    client.sendClientMessage({ type: 'chat', action: 'send', data: { text: 'Grüße 👋' } });
    client.sendClientMessage({ type: 'chat', action: 'send', data: 'ü' }, true);
    client.sendMessage({ type: 'chat', action: 'last' });
    await peer.next('chat', 'last');
    expect(received).toEqual([
      ['{"type":"chat","action":"send","data":{"text":"Grüße 👋"}}', false],
      ['{"type":"chat","action":"send","data":"ü"}', true],
      ['{"type":"chat","action":"last"}', false],
    ]);
  });

  it('throws without a connection', async () => {
    const server = await startServer();
    const client = new TestClient({ url: server.url });
    const send = (): void => client.sendMessage({ type: 'chat', action: 'send' });
    expect(send).toThrow(ConnectionError);
    expect(send).toThrow(/client is idle, not open/);
    await client.connectToServer();
    send();
    client.disconnect();
    expect(send).toThrow(/client is closed/);
  });

  it('throws for what has no JSON form', async () => {
    const { client } = await connect(await startServer());
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    for (const value of [undefined, () => 1, 1n, cycle]) {
      expect(() => client.sendMessage(value)).toThrow(NotSerializableError);
    }
    for (const lost of [new Map(), new Set(), new Uint8Array(1), Buffer.from('x')]) {
      expect(() => client.sendMessage({ type: 'a', action: 'b', data: { lost } })).toThrow(
        /lost is a Map, a Set or bytes/,
      );
    }
    await expect(client.request('a', 'b', 1n)).rejects.toThrow(NotSerializableError);
  });
});

describe('request()', () => {
  it('resolves with the response that has its id, whatever the order', async () => {
    const { client, peer } = await connect(await startServer());
    const answers = ['a', 'b', 'c'].map((data) => client.request<string>('chat', 'echo', data));
    const frames = [await peer.next('chat', 'echo'), await peer.next('chat', 'echo'), await peer.next('chat', 'echo')];
    expect(new Set(frames.map(({ id }) => id)).size).toBe(3);
    for (const frame of frames.toReversed()) peer.reply(frame, [frame.data]);
    expect(await Promise.all(answers)).toEqual([['a'], ['b'], ['c']]);
  });

  it('resolves with null when the handler returned nothing', async () => {
    const server = await startServer();
    server.answer = (frame, peer) => peer.reply(frame, null);
    const { client } = await connect(server);
    expect(await client.request('chat', 'send')).toBeNull();
  });

  it('rejects with the code, the message and the details of an error frame', async () => {
    const server = await startServer();
    server.answer = ({ id }, peer) =>
      peer.send({
        type: 'error',
        action: 'message',
        id,
        data: { error: 'text is too long', code: 'VALIDATION_FAILED', details: ['text'] },
      });
    const { client } = await connect(server);
    const failure = client.request('chat', 'send');
    await expect(failure).rejects.toThrow(RemoteError);
    await expect(failure).rejects.toMatchObject({
      message: 'text is too long',
      code: 'VALIDATION_FAILED',
      details: ['text'],
    });
    expect(client.errors.all).toEqual([]);
  });

  it('rejects after its timeout, and ignores a late answer', async () => {
    const { client, peer } = await connect(await startServer());
    const failure = client.request('chat', 'slow', undefined, { timeoutMs: 20 });
    await expect(failure).rejects.toThrow(TimeoutError);
    await expect(failure).rejects.toThrow('The reply to "chat/slow" took longer than 20 ms.');
    const frame = await peer.next('chat', 'slow');
    peer.reply(frame, 'late');
    peer.refuse(frame, 'TIMEOUT');
    const barrier = client.request('chat', 'barrier');
    peer.reply(await peer.next('chat', 'barrier'), 'in time');
    await barrier;
    expect(client.errors.all).toEqual([]);
    expect(client.messages.all).toEqual([]);
  });

  it('leaves no stream behind when the handler starts one after the timeout', async () => {
    let release!: () => void;
    const released = new Promise<void>((resolve) => (release = resolve));
    let returned!: () => void;
    const hasReturned = new Promise<void>((resolve) => (returned = resolve));
    let subscribed = 0;
    class Clock {
      @WsRoute('clock', 'ticks')
      async ticks(): Promise<Observable<number>> {
        await released;
        setImmediate(returned);
        return defer(() => {
          subscribed++;
          return NEVER;
        });
      }
    }
    const running = await startApp({ providers: [Clock] });
    onCleanUp(() => running.close());
    const client = new TestClient({ url: running.url });
    onCleanUp(() => client.disconnect());
    await client.connectToServer();
    await expect(client.request('clock', 'ticks', 1, { timeoutMs: 20 })).rejects.toThrow(TimeoutError);
    await client.request('system', 'ping');
    release();
    await hasReturned;
    await client.request('system', 'ping');
    expect(subscribed).toBe(0);
  });

  it('uses the timeout of the client by default', async () => {
    const server = await startServer();
    server.answer = () => undefined;
    const { client } = await connect(server, { requestTimeoutMs: 20 });
    await expect(client.request('chat', 'slow')).rejects.toThrow(/20 ms/);
    await expect(client.joinRoom('lobby')).rejects.toThrow(/20 ms/);
    expect(client.rooms.size).toBe(0);
  });

  it('rejects when aborted, before or after it was sent', async () => {
    const { client, peer } = await connect(await startServer());
    await expect(client.request('chat', 'never', 1, { signal: AbortSignal.abort() })).rejects.toThrow(/aborted/);
    const controller = new AbortController();
    const failure = client.request('chat', 'slow', 1, { signal: controller.signal });
    const frame = await peer.next('chat', 'slow');
    const reason = new Error('changed my mind');
    controller.abort(reason);
    await expect(failure).rejects.toBe(reason);
    expect((await peer.next('system', 'cancel')).id).toBe(frame.id);
    expect(peer.frames.all.map(({ action }) => action)).toEqual(['slow', 'cancel']);
  });

  it('rejects at once when the connection is lost', async () => {
    const { client, peer } = await connect(await startServer());
    const failure = client.request('chat', 'slow', 1, { timeoutMs: 60_000 });
    await peer.next('chat', 'slow');
    peer.socket.close(4200, 'token expired');
    await expect(failure).rejects.toMatchObject({ code: 'CONNECTION', closeCode: 4200 });
    await expect(failure).rejects.toThrow('The server closed the connection with 4200: token expired');
  });

  it('rejects at once on disconnect(), and without a connection', async () => {
    const { client } = await connect(await startServer());
    const failure = client.request('chat', 'slow');
    client.disconnect();
    await expect(failure).rejects.toThrow(ConnectionError);
    await expect(client.request('chat', 'slow')).rejects.toThrow(ConnectionError);
  });

  it('takes the first value of a handler that streams, and cancels the rest', async () => {
    const { client, peer } = await connect(await startServer());
    const answer = client.request('clock', 'ticks');
    const frame = await peer.next('clock', 'ticks');
    peer.reply(frame, 1, { more: true });
    expect(await answer).toBe(1);
    expect(await peer.next('system', 'cancel')).toEqual({ type: 'system', action: 'cancel', id: frame.id });
  });

  it('rejects bad routes and bad timeouts before anything is sent', async () => {
    const { client, peer } = await connect(await startServer());
    await expect(client.request('chat room', 'send')).rejects.toThrow(InvalidRouteError);
    await expect(client.request('chat', 'send', 1, { timeoutMs: 0 })).rejects.toThrow(InvalidOptionsError);
    await aMoment();
    expect(peer.frames.all).toEqual([]);
  });
});

describe('answers nobody asked for', () => {
  it('reach the handlers of their route when they belong to a message without an id', async () => {
    const { client, peer } = await connect(await startServer());
    peer.send({ type: 'chat', action: 'send', response: { ok: true } });
    peer.send({ type: 'chat', action: 'send', id: 'own-id', response: 2 });
    await client.messages.take();
    await client.messages.take();
    expect(client.messages.all.map(({ data }) => data)).toEqual([
      { type: 'chat', action: 'send', data: { ok: true } },
      { type: 'chat', action: 'send', data: 2 },
    ]);
  });

  it('go to onError as a RemoteError when they are errors, and are never answered', async () => {
    const { client, peer } = await connect(await startServer());
    peer.send({ type: 'error', action: 'message', data: { error: 'Slow down.', code: 'RATE_LIMITED' } });
    peer.send({ type: 'error', action: 'message', id: 'unknown', data: { error: 'What?', code: 'BAD_FRAME' } });
    peer.send({ type: 'error', action: 'message', id: 99 });
    await client.errors.take();
    await client.errors.take();
    const { error } = await client.errors.take();
    expect(error).toMatchObject({ code: 'INTERNAL', message: 'The peer reported an error.' });
    expect(client.errors.all[0]?.error).toBeInstanceOf(RemoteError);
    expect(client.errors.all[0]?.error).toMatchObject({ code: 'RATE_LIMITED', message: 'Slow down.' });
    await aMoment();
    expect(peer.frames.all).toEqual([]);
  });
});
