import { afterEach, describe, expect, it } from '@jest/globals';
import type { AuthOptions, UpgradeRequest, WebSocketOptions } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { Peer } from '../support/peer.js';
import { bearer, SECRET, tokenFor } from '../support/tokens.js';

/** Written as UTF-8 this is U+FFFD: on another node, and in a log, it would be somebody else. */
const HALF = '\ud800';

describe('an id or a name with half a character in it', () => {
  let running: RunningApp;
  const peers: Peer[] = [];
  afterEach(async () => {
    for (const peer of peers.splice(0)) peer.terminate();
    await running.close();
  });
  const start = async (options: WebSocketOptions): Promise<void> => {
    running = await startApp({ options });
  };
  const expectNobody = (): void => expect([running.clients.size, running.errors]).toEqual([0, []]);

  it.each<[string, AuthOptions]>([
    ['a token', { jwt: { secret: SECRET } }],
    ['an authenticator', { authenticate: () => ({ userId: `ada${HALF}`, payload: {} }) }],
  ])('of %s is refused with 401', async (_, auth) => {
    await start({ auth });
    await expect(running.connect(bearer(await tokenFor(HALF)))).rejects.toThrow('401');
    expectNobody();
  });

  it('of a guard is refused with 401', async () => {
    const canActivate = (context: { switchToHttp(): { getRequest(): UpgradeRequest } }): boolean => {
      context.switchToHttp().getRequest().user = { sub: HALF };
      return true;
    };
    await start({ connect: { guards: [{ canActivate }] } });
    await expect(running.connect()).rejects.toThrow('401');
    expectNobody();
  });

  it('of a first message is refused with 4001', async () => {
    await start({ auth: { jwt: { secret: SECRET }, tokenFrom: ['message'] } });
    const peer = await Peer.open(running.url, { isRaw: true });
    peers.push(peer);
    peer.send('system', 'authenticate', { token: await tokenFor(HALF) });
    expect((await peer.closed).code).toBe(4001);
    expectNobody();
  });

  it('of a join is refused, and changes nothing', async () => {
    await start({});
    const peer = await running.connect();
    for (const field of ['userId', 'username', 'userType']) {
      const { data } = await peer.request('system', 'joinRoom', { roomName: 'lobby', [field]: HALF });
      expect(data).toMatchObject({ code: 'BAD_REQUEST', error: expect.stringContaining(`"${field}"`) });
    }
    await expect(running.server.joinRoom({ ...peer, roomName: 'lobby', userId: HALF })).rejects.toThrow('"userId"');
    const client = running.clients.getClient(peer);
    expect([client?.user, client?.rooms, client?.['username']]).toEqual([null, [], undefined]);
    expect((await peer.join('lobby', { userId: '😀', username: '😀' })).response.data).toMatchObject({ userId: '😀' });
  });
});
