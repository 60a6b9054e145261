import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { NotSerializableError, WebSocketService } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Frame, Peer } from '../support/peer.js';

const message = { type: 'news', action: 'flash', data: { n: 1 } };

describe('sending', () => {
  let running: RunningApp;
  let ada: Peer;
  let bob: Peer;
  let cyd: Peer;
  beforeEach(async () => {
    running = await startApp({
      options: {
        auth: {
          required: false,
          authenticate: ({ url = '' }) => {
            const userId = new URL(url, 'ws://x').searchParams.get('user');
            return userId === null ? null : { userId, payload: {} };
          },
        },
      },
    });
    const as = (user: string): Promise<Peer> => running.connectTo(`${running.url}?user=${user}`);
    [ada, bob, cyd] = await Promise.all([as('7'), as('7f3e'), running.connect()]);
  });
  afterEach(() => running.close());

  /** What each has received of type news once everything sent so far has arrived. */
  const received = async (): Promise<Frame[][]> => {
    await Promise.all([ada, bob, cyd].map((peer) => peer.settle()));
    return [ada, bob, cyd].map((peer) => peer.received.filter(({ type }) => type === 'news' || type === 'error'));
  };

  it('broadcasts to everybody, one copy each, with the fields of a message alone', async () => {
    await running.service.broadcast({ ...message, workerId: 5, secret: 'x' } as never);
    expect(await received()).toEqual([[message], [message], [message]]);
  });

  it('sends to clients, once each, whatever the list repeats', async () => {
    await running.service.sendToClients([ada.clientId, ada.clientId, 'nobody', cyd.clientId], message);
    expect(await received()).toEqual([[message], [], [message]]);
  });

  it('sends to the members of rooms, one copy to a member of two', async () => {
    await ada.join('red');
    await ada.join('blue');
    await bob.join('blue');
    await running.service.sendToRooms(['red', 'blue', 'none'], message);
    expect(await received()).toEqual([[message], [message], []]);
  });

  it('sends to users by their opaque id, and leaves out whom it is told to', async () => {
    await running.service.sendToUsers([7], message);
    expect(await received()).toEqual([[message], [], []]);
    await running.service.sendToUsers(['7f3e', '7'], message, { except: [ada.clientId] });
    expect(await received()).toEqual([[message], [message], []]);
  });

  it('has a convenience for user, system and error messages', async () => {
    await running.service.sendUserMessage('renamed', { id: 1 });
    expect(await ada.next('user', 'renamed')).toEqual({ type: 'user', action: 'renamed', data: { id: 1 } });
    await running.service.sendSystemMessage('maintenance', { minutes: 5 });
    expect((await ada.next('system', 'maintenance')).data).toEqual({ minutes: 5 });
    await running.service.sendErrorMessage('oops', new Error('Action not allowed'));
    expect((await ada.next('error', 'oops')).data).toEqual({ error: 'Action not allowed' });
    await running.service.sendErrorMessage('oops', { code: 1 });
    expect((await ada.next('error', 'oops')).data).toEqual({ error: { code: 1 } });
  });

  it('can be made by hand, as in the reference, and says what is missing', async () => {
    const service = new WebSocketService({ webSocketServer: running.server });
    await service.broadcast(message);
    expect(await received()).toEqual([[message], [message], [message]]);
    expect(() => new WebSocketService({})).toThrow('Pass { webSocketServer }, or { redisInstance }');
  });

  it('refuses a message that is none, before anything is sent', async () => {
    await expect(running.service.broadcast({ type: 'a b', action: 'c' })).rejects.toMatchObject({
      code: 'INVALID_MESSAGE',
    });
    await expect(running.service.broadcast({ ...message, data: 1n })).rejects.toBeInstanceOf(NotSerializableError);
    expect(await received()).toEqual([[], [], []]);
  });

  it('refuses an id where a list of ids belongs, before anything is sent', async () => {
    const { server, service } = running;
    const refused = (name: string) => ({ code: 'INVALID_MESSAGE', message: expect.stringContaining(`"${name}"`) });
    const id = ada.clientId as never;
    await expect(service.broadcast(message, { except: id })).rejects.toMatchObject(refused('except'));
    await expect(service.sendToClients(id, message)).rejects.toMatchObject(refused('clientIds'));
    await expect(service.sendToRooms('blue' as never, message)).rejects.toMatchObject(refused('roomNames'));
    await expect(service.sendToUsers('7' as never, message)).rejects.toMatchObject(refused('userIds'));
    for (const more of [{}, { scope: 'cluster' as const }, { excludeClientId: 'other' }])
      expect(() => server.broadcastToAllClients({ data: message, except: id, ...more })).toThrow('"except"');
    expect(() => server.broadcastToUsers({ userIds: '7' as never, data: message })).toThrow('"userIds"');
    expect(await received()).toEqual([[], [], []]);
  });

  it('sends one client anything with a JSON form, as text or binary', async () => {
    const ws = running.clients.getClient({ clientId: ada.clientId })?.ws;
    if (!ws) throw new Error('no socket');
    running.server.sendClientMessage(ws, { any: ['shape'] });
    expect(await ada.take((frame) => frame.any !== undefined)).toEqual({ any: ['shape'] });
    running.server.sendClientMessage(ws, message, true);
    const binary = await ada.next('news', 'flash');
    expect(binary.isBinary).toBe(true);
    expect(() => running.server.sendClientMessage(ws, undefined)).toThrow(NotSerializableError);
  });

  it('offers the broadcasts of the reference and its own', async () => {
    const { server } = running;
    server.sendMessageToAll({ data: { ...message, workerId: 3 } });
    server.broadcastToAllClients({ data: message, excludeClientId: ada.clientId });
    expect(await received()).toEqual([[message], [message, message], [message, message]]);
    for (const peer of [ada, bob, cyd]) peer.received.length = 0;
    await bob.join('blue');
    await cyd.join('blue');
    server.broadcastToRoom({ roomName: 'blue', data: message, excludeClientId: cyd.clientId });
    server.broadcastToUsers({ userIds: ['7'], data: message });
    server.broadcastToClient({ clientId: cyd.clientId, data: message });
    expect(await received()).toEqual([[message], [message], [message]]);
  });

  it('leaves out everybody whom "except" names, in the broadcasts of the reference, too', async () => {
    const { server } = running;
    const except = [ada.clientId, bob.clientId];
    server.broadcastToAllClients({ data: message, except });
    server.broadcastToAllClients({ data: message, except, scope: 'cluster' });
    server.broadcastToAllClients({ data: message, except: [ada.clientId], excludeClientId: bob.clientId });
    server.sendMessageToAll({ data: message, except });
    server.broadcastToUsers({ userIds: ['7', '7f3e'], data: message, except: [ada.clientId] });
    expect(await received()).toEqual([[], [message], [message, message, message, message]]);
    for (const peer of [ada, bob, cyd]) {
      peer.received.length = 0;
      await peer.join('blue');
    }
    server.broadcastToRoom({ roomName: 'blue', data: message, except });
    expect(await received()).toEqual([[], [], [message]]);
  });

  it('raises no event that has no JSON form', () => {
    expect(() => running.server.publish({ channel: 'nobody', data: 1n })).toThrow(NotSerializableError);
    expect(() => running.server.sendCustomMessage({ data: undefined })).toThrow(NotSerializableError);
  });

  it('sends one client an error', async () => {
    running.server.sendMessageError({ webSocketClientId: bob.clientId, error: 'Too late.' });
    const error = { type: 'error', action: 'message', data: { error: 'Too late.', code: 'INTERNAL' } };
    expect(await received()).toEqual([[], [error], []]);
  });
});
