import { afterEach, describe, expect, it } from '@jest/globals';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';

const as = (userId: string) => ({ headers: { authorization: userId } });

describe('identity comes from the handshake', () => {
  let running: RunningApp;
  afterEach(() => running.close());

  /** Whom `sendToUsers()` reaches decides what a false identity would be good for. */
  async function reached(peers: Peer[], userId: string | number): Promise<boolean[]> {
    await running.service.sendToUsers([userId], { type: 'to', action: 'user' });
    await Promise.all(peers.map((peer) => peer.settle()));
    return peers.map(({ received }) => received.splice(0).some(({ action }) => action === 'user'));
  }

  const startWithAuth = async (options: { required?: boolean } = {}): Promise<void> => {
    running = await startApp({
      options: {
        auth: {
          ...options,
          authenticate: ({ headers: { authorization } }) =>
            authorization ? { userId: authorization, payload: { role: 'member' } } : null,
        },
        users: { load: (userId) => ({ role: 'admin', loaded: userId }) },
      },
    });
  };

  it('R6: a client that authenticated keeps its userId, whatever it claims in joinRoom', async () => {
    await startWithAuth();
    const peer = await running.connect(as('mallory'));
    expect(peer.connected.data.user).toEqual({ userId: 'mallory' });
    const reply = await peer.join('lobby', { userId: 'alice', userType: 'admin', user: { userId: 'alice' } });
    expect(reply.response.data).toEqual({ roomName: 'lobby', userId: 'mallory' });
    expect(running.clients.getClient(peer)?.user).toEqual({ userId: 'mallory', payload: { role: 'member' } });
    expect(running.clients.getClients({ userType: 'admin' })).toEqual([]);
    expect(await reached([peer], 'alice')).toEqual([false]);
    expect(await reached([peer], 'mallory')).toEqual([true]);
  });

  it('R6: nor does joinRoom() of the server or the room manager change it', async () => {
    await startWithAuth();
    const peer = await running.connect(as('mallory'));
    const ws = running.clients.getClient(peer)!.ws!;
    await running.server.joinRoom({ ws, userId: 'alice', roomName: 'lobby' });
    running.rooms.addClientToRoom({ ...peer, user: { userId: 'alice', payload: {} }, roomName: 'other' });
    expect(running.clients.getClient(peer)?.user?.userId).toBe('mallory');
    expect(await reached([peer], 'alice')).toEqual([false]);
  });

  it('R6: where authentication is optional, an anonymous client stays one', async () => {
    await startWithAuth({ required: false });
    const peer = await running.connect();
    expect(peer.connected.data.user).toBeUndefined();
    const reply = await peer.join('lobby', { userId: 'alice', userType: 'admin', username: 'Al' });
    expect(reply.response.data).toEqual({ roomName: 'lobby', username: 'Al' });
    expect(running.clients.getClient(peer)?.user).toBeNull();
    expect(await reached([peer], 'alice')).toEqual([false]);
  });

  it('R7: a userId is opaque: 7f3e… is not user 7, and no prefix, suffix or spelling of it is', async () => {
    await startWithAuth();
    const ids = ['7', '7f3e2a10-0000-4000-8000-000000000000', '07', '7.0', ' 7', '0x7', 'constructor', '__proto__'];
    const peers = await Promise.all(ids.map((userId) => running.connect(as(encodeURIComponent(userId)))));
    for (const [index, userId] of ids.entries()) {
      const only = ids.map((_, other) => other === index);
      expect(await reached(peers, encodeURIComponent(userId))).toEqual(only);
      const found = running.clients.getUserClients({ userId: encodeURIComponent(userId) });
      expect(found.map(({ clientId }) => clientId)).toEqual([peers[index]!.clientId]);
    }
    expect(await reached(peers, 7)).toEqual(ids.map((_, index) => index === 0));
    expect(await reached(peers, Number.NaN)).toEqual(ids.map(() => false));
  });

  it.each([
    true,
    7n,
    {},
    { userId: undefined },
    { userId: '' },
    { userId: null },
    { userId: {} },
    { userId: Number.NaN },
    { userId: 7n },
  ])('R6: an authentication that names no user lets nobody in: %p', async (user) => {
    running = await startApp({ options: { auth: { authenticate: () => user as never } } });
    await expect(running.connect()).rejects.toThrow('500');
    expect(running.errors.map(({ message }) => message)).toEqual([
      expect.stringContaining('auth.authenticate must return'),
    ]);
    expect(running.clients.size).toBe(0);
  });
});
