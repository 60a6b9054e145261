import { Injectable } from '@nestjs/common';
import { afterEach, describe, expect, it } from '@jest/globals';
import { PeerError, type PresenceAuthorizer, type PresenceQuestion, type WebSocketOptions } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Frame } from '../support/peer.js';
import { until } from '../support/until.js';

const ROOM = 'chat:1';

@Injectable()
class Names implements PresenceAuthorizer {
  async authorizePresence({ data }: PresenceQuestion): Promise<boolean> {
    if (data === 'rude') throw new PeerError('RUDE', 'Not here.');
    return (data as { name?: unknown } | null)?.name === 'Ada';
  }
}

let running: RunningApp;
afterEach(() => running.close());

const start = async (rooms: WebSocketOptions['rooms'], more: WebSocketOptions = {}): Promise<RunningApp> =>
  (running = await startApp({ options: { presence: [{ match: 'chat:*' }], ...(rooms && { rooms }), ...more } }));
const codeOf = ({ data, response }: Frame): unknown => (response ? response.success : data.code);

describe('rooms.authorizePresence', () => {
  it('decides what a client says of itself with a join and later; what is refused changes nothing', async () => {
    await start({ authorizePresence: Names });
    const peer = await running.connect();
    const join = async (presenceData?: unknown): Promise<unknown> =>
      codeOf(
        await peer.request('system', 'joinRoom', {
          roomName: ROOM,
          ...(presenceData !== undefined && { presenceData }),
        }),
      );
    const update = async (data?: unknown): Promise<unknown> =>
      codeOf(await peer.request('system', 'updatePresence', { roomName: ROOM, data }));
    expect([await join({ name: 'Bob' }), await join(null), await join('rude')]).toEqual([
      'FORBIDDEN',
      'FORBIDDEN',
      'RUDE',
    ]);
    expect(running.rooms.getRoomClients({ roomName: ROOM })).toEqual([]);
    expect(await update({ name: 'Ada' })).toBe('NOT_IN_ROOM');
    expect(await join({ name: 'Ada' })).toBe(true);
    expect([await update({ name: 'Bob' }), await update(), await update('rude')]).toEqual([
      'FORBIDDEN',
      'FORBIDDEN',
      'RUDE',
    ]);
    expect((await running.service.presence(ROOM)).users).toMatchObject([{ data: { name: 'Ada' } }]);
    expect(await update({ name: 'Ada', isAway: true })).toBe(true);
    expect((await running.service.presence(ROOM)).users).toMatchObject([{ data: { name: 'Ada', isAway: true } }]);
    expect(running.errors).toEqual([]);
  });

  it('is not asked of somebody who says nothing, and not of rooms without presence', async () => {
    await start({ authorizePresence: () => false });
    const peer = await running.connect();
    expect(codeOf(await peer.join(ROOM, { presence: true }))).toBe(true);
    expect(codeOf(await peer.join('other', { presenceData: 1 }))).toBe(true);
    expect(codeOf(await peer.request('system', 'updatePresence', { roomName: 'other', data: 1 }))).toBe('NOT_FOUND');
  });

  it('is not too late: who left meanwhile is not in the room', async () => {
    let allow: ((isAllowed: boolean) => void) | undefined;
    await start({ authorizePresence: () => new Promise<boolean>((resolve) => (allow = resolve)) });
    const peer = await running.connect();
    await peer.join(ROOM);
    const updated = peer.request('system', 'updatePresence', { roomName: ROOM, data: 1 });
    await until(() => allow !== undefined);
    running.server.leaveRoom({ clientId: peer.clientId, roomName: ROOM });
    allow?.(true);
    expect(codeOf(await updated)).toBe('NOT_IN_ROOM');
  });

  it('is not too late: who was told TIMEOUT meanwhile is shown as before', async () => {
    let allow: ((isAllowed: boolean) => void) | undefined;
    const authorizePresence = (): Promise<boolean> => new Promise((resolve) => (allow = resolve));
    await start({ authorizePresence }, { messages: { handlerTimeoutMs: 100 } });
    const peer = await running.connect();
    await peer.join(ROOM);
    expect(codeOf(await peer.request('system', 'updatePresence', { roomName: ROOM, data: 1 }))).toBe('TIMEOUT');
    allow?.(true);
    await peer.request('system', 'ping');
    expect((await running.service.presence(ROOM)).users).toMatchObject([{ data: null }]);
  });
});
