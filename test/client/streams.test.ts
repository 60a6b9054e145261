import { afterEach, describe, expect, it } from '@jest/globals';
import { StreamOverflowError } from '../../lib/client/client-errors.js';
import { ConnectionError, InvalidRouteError, RemoteError } from '../../lib/errors.js';
import { aMoment, cleanUp, connect, startServer, TestClient } from './support.js';
import type { Frame, Peer } from './support.js';

afterEach(cleanUp);

const cancelOf = ({ id }: Frame): Frame => ({ type: 'system', action: 'cancel', id });

/** A server that streams these values and then, unless told otherwise, ends. */
const streamOf =
  (values: unknown[], { ends = true } = {}) =>
  (frame: Frame, peer: Peer): void => {
    if (frame.type === 'system') return;
    for (const value of values) peer.reply(frame, value, { more: true });
    if (ends) peer.send({ type: frame.type, action: frame.action, id: frame.id, done: true });
  };

async function collect<T>(stream: AsyncIterable<T>): Promise<{ values: T[]; error: unknown }> {
  const values: T[] = [];
  try {
    for await (const value of stream) values.push(value);
    return { values, error: undefined };
  } catch (error) {
    return { values, error };
  }
}

describe('stream()', () => {
  it('yields every value in order and ends with the server', async () => {
    const server = await startServer();
    server.answer = streamOf([1, null, { three: 3 }]);
    const { client, peer } = await connect(server);
    const stream = client.stream('clock', 'ticks', { every: 1 });
    expect(await collect(stream)).toEqual({ values: [1, null, { three: 3 }], error: undefined });
    expect(await stream.next()).toEqual({ done: true, value: undefined });
    expect(peer.frames.all).toMatchObject([{ type: 'clock', action: 'ticks', data: { every: 1 } }]);
  });

  it('yields one value of a handler that does not stream', async () => {
    const server = await startServer();
    server.answer = (frame, peer) => peer.reply(frame, 'only');
    const { client } = await connect(server);
    expect((await collect(client.stream('chat', 'echo'))).values).toEqual(['only']);
  });

  it('sends nothing until somebody reads', async () => {
    const { client, peer } = await connect(await startServer());
    const stream = client.stream('clock', 'ticks');
    await aMoment();
    await stream.return?.();
    expect(peer.frames.all).toEqual([]);
    expect(await stream.next()).toEqual({ done: true, value: undefined });
  });

  it('cancels when the loop is left early', async () => {
    const server = await startServer();
    server.answer = streamOf([1, 2, 3], { ends: false });
    const { client, peer } = await connect(server);
    for await (const value of client.stream('clock', 'ticks')) if (value === 2) break;
    const frame = await peer.next('clock', 'ticks');
    expect(await peer.next('system', 'cancel')).toEqual(cancelOf(frame));
    peer.reply(frame, 4, { more: true });
    peer.send({ type: 'clock', action: 'ticks', id: frame.id, done: true });
    await client.request('system', 'ping', undefined, { timeoutMs: 30 }).catch(() => undefined);
    expect(client.errors.all).toEqual([]);
    expect(client.messages.all).toEqual([]);
  });

  it('cancels when the loop throws', async () => {
    const server = await startServer();
    server.answer = streamOf([1], { ends: false });
    const { client, peer } = await connect(server);
    const loop = async (): Promise<void> => {
      for await (const value of client.stream<number>('clock', 'ticks')) throw new Error(`at ${value}`);
    };
    await expect(loop()).rejects.toThrow('at 1');
    await peer.next('system', 'cancel');
  });

  it('does not cancel what has ended', async () => {
    const server = await startServer();
    server.answer = streamOf([1]);
    const { client, peer } = await connect(server);
    const stream = client.stream('clock', 'ticks');
    await collect(stream);
    await stream.return?.();
    await aMoment();
    expect(peer.frames.all).toHaveLength(1);
  });

  it('fails with the error frame of the server, after the values before it', async () => {
    const server = await startServer();
    server.answer = (frame, peer) => {
      peer.reply(frame, 1, { more: true });
      peer.refuse(frame, 'STREAM_LIMIT', 'Too many streams.');
    };
    const { client } = await connect(server);
    const { values, error } = await collect(client.stream('clock', 'ticks'));
    expect(values).toEqual([1]);
    expect(error).toBeInstanceOf(RemoteError);
    expect(error).toMatchObject({ code: 'STREAM_LIMIT' });
  });

  it('fails when the connection is lost or disconnected: an end would look complete', async () => {
    const server = await startServer();
    server.answer = streamOf([1], { ends: false });
    for (const end of ['lost', 'disconnected']) {
      const { client, peer } = await connect(server);
      const stream = client.stream('clock', 'ticks');
      expect(await stream.next()).toEqual({ done: false, value: 1 });
      const waiting = collect(stream);
      if (end === 'lost') peer.socket.terminate();
      else client.disconnect();
      expect((await waiting).error).toBeInstanceOf(ConnectionError);
    }
  });

  it('fails at its first value without a connection', async () => {
    const client = new TestClient({ url: 'ws://127.0.0.1:1/ws' });
    expect((await collect(client.stream('clock', 'ticks'))).error).toBeInstanceOf(ConnectionError);
    expect(() => client.stream('no route', '')).toThrow(InvalidRouteError);
  });

  it('fails and cancels when more values wait than maxStreamBuffer, after those that were kept', async () => {
    const server = await startServer();
    server.answer = streamOf([1, 2, 3, 4, 5, 6], { ends: false });
    const { client, peer } = await connect(server, { maxStreamBuffer: 3 });
    const stream = client.stream<number>('clock', 'ticks');
    expect(await stream.next()).toEqual({ done: false, value: 1 });
    await peer.next('system', 'cancel');
    const { values, error } = await collect(stream);
    expect(values).toEqual([2, 3, 4]);
    expect(error).toBeInstanceOf(StreamOverflowError);
    expect(error).toMatchObject({
      code: 'STREAM_OVERFLOW',
      message: expect.stringMatching(/values wait \(maxStreamBuffer\)/),
    });
  });

  it('fails and cancels when aborted', async () => {
    const server = await startServer();
    server.answer = streamOf([1], { ends: false });
    const { client, peer } = await connect(server);
    const controller = new AbortController();
    const stream = client.stream('clock', 'ticks', undefined, { signal: controller.signal });
    await stream.next();
    const waiting = collect(stream);
    controller.abort();
    expect((await waiting).error).toMatchObject({ name: 'AbortError' });
    await peer.next('system', 'cancel');
    const late = client.stream('clock', 'ticks', undefined, { signal: controller.signal });
    expect((await collect(late)).error).toMatchObject({ name: 'AbortError' });
  });

  it('serves reads that wait side by side, in order', async () => {
    const { client, peer } = await connect(await startServer());
    const stream = client.stream<number>('clock', 'ticks');
    const reads = Promise.all([stream.next(), stream.next(), stream.next()]);
    const frame = await peer.next('clock', 'ticks');
    streamOf([1, 2])(frame, peer);
    expect(await reads).toEqual([
      { done: false, value: 1 },
      { done: false, value: 2 },
      { done: true, value: undefined },
    ]);
  });
});
