import { afterEach, describe, expect, it } from '@jest/globals';
import { WebSocketClient } from '../../lib/client/websocket-client.js';
import { BadFrameError, MessageTooLargeError } from '../../lib/client/client-errors.js';
import { startApp } from '../support/app.js';
import { cleanUp, connect, onCleanUp, startServer } from './support.js';
import type { Peer, ScriptedServer } from './support.js';

afterEach(cleanUp);

/** Lists within lists. */
const nested = (levels: number): unknown => JSON.parse('['.repeat(levels) + ']'.repeat(levels));

function greetWith(server: ScriptedServer, limits: object): void {
  server.greet = (peer, clientId) =>
    peer.send({ type: 'system', action: 'connected', data: { clientId, limits, features: [] } });
}

/** A request that the test answers by hand. */
async function ask(client: WebSocketClient, peer: Peer): Promise<{ answer: Promise<unknown>; id: number }> {
  const answer = client.request('pay', 'order', 1);
  answer.catch(() => undefined);
  const { id } = await peer.next('pay', 'order');
  return { answer, id: id as number };
}

describe("a server's reply that can't be read", () => {
  const unreadable = [
    '{"__proto__":{"admin":true}}',
    JSON.stringify(nested(40)),
    '{"deep":' + '['.repeat(600) + ']'.repeat(600) + '}',
  ];

  it.each(unreadable)('rejects its request at once, and no other: %s', async (response) => {
    const { client, peer } = await connect(await startServer());
    const first = await ask(client, peer);
    const second = await ask(client, peer);
    peer.socket.send(`{"type":"pay","action":"order","id":${first.id},"response":${response}}`);
    await expect(first.answer).rejects.toBeInstanceOf(BadFrameError);
    peer.reply({ type: 'pay', action: 'order', id: second.id }, 'done');
    expect(await second.answer).toBe('done');
    expect(client.errors.all).toEqual([]);
  });

  it('ends its stream after the values that came before, and asks for no more', async () => {
    const { client, peer } = await connect(await startServer());
    const values: unknown[] = [];
    const reading = (async () => {
      for await (const value of client.stream('clock', 'ticks')) values.push(value);
    })();
    reading.catch(() => undefined);
    const frame = await peer.next('clock', 'ticks');
    peer.reply(frame, 1, { more: true });
    peer.reply(frame, nested(40), { more: true });
    await expect(reading).rejects.toBeInstanceOf(BadFrameError);
    expect(values).toEqual([1]);
    expect((await peer.next('system', 'cancel')).id).toBe(frame.id);
  });

  it('is read as deeply nested as the greeting allows', async () => {
    const server = await startServer();
    greetWith(server, { maxPayload: 65_536, maxDepth: 200 });
    const { client, peer } = await connect(server);
    const { answer, id } = await ask(client, peer);
    peer.reply({ type: 'pay', action: 'order', id }, nested(190));
    expect(await answer).toEqual(nested(190));
  });

  it('of a real server is read as deeply nested as that server allows', async () => {
    const running = await startApp({ options: { messages: { maxDepth: 200 } } });
    onCleanUp(() => running.close());
    const client = new WebSocketClient({ url: running.url });
    onCleanUp(() => client.disconnect());
    await client.connectToServer();
    const asked = new Promise<unknown>((resolve) => client.on('quiz', 'ask', resolve));
    const [connected] = running.clients.getClients();
    const answer = connected?.request('quiz', 'ask', nested(150));
    expect(await asked).toEqual(nested(150));
    await answer;
  });
});

describe('a question of the server with the id of a request of ours', () => {
  it('that is nested too deeply is answered with BAD_FRAME, and the request stays open', async () => {
    const { client, peer } = await connect(await startServer());
    const { answer, id } = await ask(client, peer);
    peer.send({ type: 'quiz', action: 'ask', id, data: nested(40) });
    expect(await peer.next('error', 'message')).toMatchObject({ id, data: { code: 'BAD_FRAME' } });
    expect((await client.errors.take()).error).toBeInstanceOf(BadFrameError);
    peer.reply({ type: 'pay', action: 'order', id }, 'paid');
    expect(await answer).toBe('paid');
  });

  it('that has a bad name is answered, too', async () => {
    const { client, peer } = await connect(await startServer());
    const { answer, id } = await ask(client, peer);
    peer.send({ type: 'not a name', action: 'ask', id });
    expect(await peer.next('error', 'message')).toMatchObject({ id, data: { code: 'BAD_FRAME' } });
    peer.reply({ type: 'pay', action: 'order', id }, 'paid');
    expect(await answer).toBe('paid');
  });
});

describe('an answer that the server could not read', () => {
  it.each([
    ['deeper than 32 levels', 'BAD_FRAME', {}, nested(40)],
    ['deeper than the greeting says', 'BAD_FRAME', { maxDepth: 5 }, nested(10)],
    ['with a forbidden key', 'BAD_FRAME', {}, JSON.parse('{"__proto__":1}') as unknown],
    ['longer than the greeting says', 'MESSAGE_TOO_LARGE', { maxPayload: 500 }, 'x'.repeat(500)],
    ['without a JSON form', 'NOT_SERIALIZABLE', {}, 1n],
  ])('%s, is the error frame %s instead, and the handler is reported', async (_name, code, limits, response) => {
    const server = await startServer();
    greetWith(server, limits);
    const { client, peer } = await connect(server);
    client.on('quiz', 'ask', () => response);
    peer.send({ type: 'quiz', action: 'ask', id: 1 });
    expect(await peer.next('error', 'message')).toMatchObject({ id: 1, data: { code } });
    expect(client.errors.all).toHaveLength(1);
    expect(client.state).toBe('open');
  });

  it('is sent when the greeting says that the server reads so deep', async () => {
    const server = await startServer();
    greetWith(server, { maxDepth: 100 });
    const { client, peer } = await connect(server);
    client.on('quiz', 'ask', () => nested(90));
    peer.send({ type: 'quiz', action: 'ask', id: 1 });
    expect((await peer.next('quiz', 'ask')).response).toEqual(nested(90));
  });
});

describe('a message that is longer than the server takes', () => {
  it('is refused at once, and the connection stays', async () => {
    const server = await startServer();
    greetWith(server, { maxPayload: 100 });
    const { client, peer } = await connect(server);
    const fits = { type: 'chat', action: 'send', data: 'x'.repeat(50) };
    const tooLong = { type: 'chat', action: 'send', data: 'ü'.repeat(40) };
    expect(JSON.stringify(tooLong).length).toBeLessThan(100);
    expect(() => client.sendMessage(tooLong)).toThrow(MessageTooLargeError);
    await expect(client.request('chat', 'send', 'x'.repeat(100))).rejects.toMatchObject({
      code: 'MESSAGE_TOO_LARGE',
      maxBytes: 100,
    });
    client.sendMessage(fits);
    expect(await peer.next('chat', 'send')).toEqual(fits);
    expect(client.state).toBe('open');
  });

  it('to a real server does not lose the connection', async () => {
    const running = await startApp();
    onCleanUp(() => running.close());
    const client = new WebSocketClient({ url: running.url });
    onCleanUp(() => client.disconnect());
    await client.connectToServer();
    const { clientId } = client;
    expect(() => client.sendMessage({ type: 'chat', action: 'send', data: 'x'.repeat(65_536) })).toThrow(
      MessageTooLargeError,
    );
    await client.request('system', 'ping');
    expect(client.clientId).toBe(clientId);
  });
});
