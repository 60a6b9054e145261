import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ReservedKeyError } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';

const RESERVED =
  'ws clientId user lastActivity roomName rooms request toJSON setMetadata serveBy __proto__ constructor prototype toString valueOf hasOwnProperty __defineGetter__ then';

describe('D10: updateClient()', () => {
  let running: RunningApp;
  let peer: Peer;
  beforeAll(async () => {
    running = await startApp();
    peer = await running.connect();
  });
  afterAll(() => running.close());

  it.each([
    ['preferences', { theme: 'dark', notifications: true }],
    ['username', 'Alice'],
    ['userType', 'member'],
    ['score', 0],
    ['muted', false],
    ['note', null],
    ['list', [1, 2, 3]],
    ['status.text', 'dots are fine'],
    ['7', 'so are numbers'],
  ])('keeps %s as it was given', (key, data) => {
    const { clientId } = peer;
    running.clients.updateClient({ clientId, key, data });
    expect(running.clients.getClient({ clientId })?.[key]).toBe(data);
    expect(running.clients.getClients()[0]?.[key]).toBe(data);
  });

  it.each(RESERVED.split(' '))('refuses %s and leaves everything as it was', (key) => {
    const { clientId } = peer;
    const client = running.clients.getClient({ clientId });
    const before = client?.[key] as unknown;
    const data = { polluted: true, isAdmin: true };
    expect(() => running.clients.updateClient({ clientId, key, data })).toThrow(ReservedKeyError);
    expect(client?.[key]).toEqual(before);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    expect(Object.keys(Object.prototype)).toEqual([]);
  });

  it('stores metadata with this client only', async () => {
    const other = await running.connect();
    running.clients.updateClient({ clientId: peer.clientId, key: 'secret', data: 1 });
    expect(running.clients.getClient(other)?.['secret']).toBeUndefined();
  });

  it('does nothing for a client that is unknown', () => {
    for (const clientId of ['unknown', '__proto__', 'constructor']) {
      running.clients.updateClient({ clientId, key: 'note', data: 1 });
      expect(running.clients.getClient({ clientId })).toBeUndefined();
    }
  });
});
