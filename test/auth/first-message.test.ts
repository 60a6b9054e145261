import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Clients } from '../../lib/clients/clients.js';
import type { AuthOptions, WebSocketOptions } from '../../lib/index.js';
import { WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { Peer } from '../support/peer.js';
import { frameBytes, RawPeer, textBytes } from '../support/raw-peer.js';
import { Stopwatch } from '../support/stopwatch.js';
import { bearer, SECRET, tokenFor } from '../support/tokens.js';
import { until } from '../support/until.js';

class Echo {
  @WsRoute('chat', 'echo')
  echo(_ws: unknown, _clientId: string, data: unknown): unknown {
    return data;
  }
}

describe('a first message that authenticates', () => {
  let running: RunningApp;
  const peers: Peer[] = [];
  afterEach(async () => {
    for (const peer of peers.splice(0)) peer.terminate();
    await running.close();
  });

  const start = async (auth: Partial<AuthOptions> = {}, more: WebSocketOptions = {}): Promise<void> => {
    running = await startApp({
      providers: [Echo],
      options: { ...more, auth: { jwt: { secret: SECRET }, tokenFrom: ['header', 'message'], ...auth } },
    });
  };
  const open = async (): Promise<Peer> => {
    const peer = await Peer.open(running.url, { isRaw: true });
    peers.push(peer);
    return peer;
  };
  const frame = (type: string, action: string, data: unknown, id: string): string =>
    JSON.stringify({ type, action, data, id });

  it('is answered after system/connected; messages behind it wait and are handled in order', async () => {
    const seen: string[] = [];
    await start({}, { events: { onConnected: ({ clientId }) => void seen.push(clientId) } });
    const peer = await open();
    const token = await tokenFor('ada');
    peer.sendRaw(frame('system', 'authenticate', { token }, 'a'));
    for (const id of ['b', 'c', 'd']) peer.sendRaw(frame('chat', 'echo', id, id));
    await peer.take(({ id }) => id === 'd').then((last) => expect(last.response).toBe('d'));
    expect(peer.received.map(({ action, id }) => id ?? action)).toEqual(['connected', 'a', 'b', 'c']);
    expect(peer.received[0].data).toMatchObject({ clientId: seen[0], user: { userId: 'ada' } });
    const { expiresAt } = peer.received[1].response.data;
    expect(peer.received[1].response).toEqual({ success: true, data: { userId: 'ada', expiresAt } });
    expect(expiresAt).toBeGreaterThan(Date.now());
    expect(running.clients.getUserClients({ userId: 'ada' })).toHaveLength(1);
  });

  it('is not needed by a client that sent a token with its handshake', async () => {
    await start();
    const peer = await running.connect(bearer(await tokenFor('ada')));
    expect(peer.connected.data.user).toEqual({ userId: 'ada' });
    await expect(running.connect(bearer(await tokenFor('ada', {}, { expiresIn: -5 })))).rejects.toThrow('401');
  });

  it.each([
    ['another message', () => frame('chat', 'echo', 1, 'x')],
    ['a ping', () => frame('system', 'ping', undefined, 'x')],
    ['no frame of the protocol', () => '{"broken'],
    ['no token', () => frame('system', 'authenticate', {}, 'x')],
    ['a token that is no text', () => frame('system', 'authenticate', { token: { a: 1 } }, 'x')],
    ['a token that is not valid', () => frame('system', 'authenticate', { token: 'x.y.z' }, 'x')],
  ])('that is %s closes the socket with 4001, and nothing is handled', async (_, text) => {
    const seen: unknown[] = [];
    await start(
      {},
      { events: { onConnected: () => void seen.push('connected'), onMessage: () => void seen.push('message') } },
    );
    const peer = await open();
    peer.sendRaw(text());
    peer.sendRaw(frame('chat', 'echo', 1, 'late'));
    expect((await peer.closed).code).toBe(4001);
    expect(peer.received).toHaveLength(1);
    expect(peer.received[0]).toMatchObject({
      type: 'error',
      data: { code: expect.stringMatching(/^(UNAUTHENTICATED|BAD_REQUEST)$/) },
    });
    expect([seen, running.clients.size, running.errors]).toEqual([[], 0, []]);
  });

  it('must come in time', async () => {
    await start({ timeoutMs: 200 });
    const peer = await open();
    expect((await peer.closed).code).toBe(4001);
    expect((await peer.error()).data.code).toBe('UNAUTHENTICATED');
  });

  it('counts towards the capacity before it comes, and no more after its socket left', async () => {
    await start({}, { maxConnections: 1 });
    const peer = await open();
    await expect(Peer.open(running.url, { isRaw: true })).rejects.toThrow('503');
    peer.terminate();
    await until(
      async () =>
        (await open().then(
          (next) => next.ws.readyState,
          () => 0,
        )) === 1,
    );
  });

  it('closes with 1011, reported, when its client can not be taken in', async () => {
    await start();
    const adding = jest.spyOn(Clients.prototype, 'add').mockImplementation(() => {
      throw new Error('no room');
    });
    const peer = await open();
    peer.sendRaw(frame('system', 'authenticate', { token: await tokenFor('ada') }, 'a'));
    expect((await peer.closed).code).toBe(1011);
    adding.mockRestore();
    expect(running.errors.map(String)).toEqual(['Error: no room']);
    expect(running.server.status.connections).toBe(0);
  });

  it('R1: a broken frame behind one that was refused ends nothing but its own socket', async () => {
    await start();
    const peer = await RawPeer.handshake(running.port);
    peer.write(textBytes('{"broken'));
    await peer.until(() => peer.closeCode === 4001);
    peer.write(frameBytes({ reserved: 7 }));
    await peer.closed;
    await running.connect(bearer(await tokenFor('ada')));
  });

  it('that never comes does not delay a shutdown', async () => {
    await start();
    const peer = await open();
    const watch = new Stopwatch();
    await running.server.stop();
    expect((await peer.closed).code).toBe(1012);
    expect(watch.ms).toBeLessThan(5_000); // the message has 10 s
  });

  it('broken off by a reset while the token is checked leaves nothing behind', async () => {
    await start();
    const token = await tokenFor('ada');
    for (let round = 0; round < 20; round++) {
      const peer = await open();
      peer.sendRaw(frame('system', 'authenticate', { token }, 'a'));
      peer.terminate();
    }
    await until(() => running.clients.size === 0);
    expect((await running.connect(bearer(token))).clientId).not.toBe('');
    expect(running.errors).toEqual([]);
  });
});
