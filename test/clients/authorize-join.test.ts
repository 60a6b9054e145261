import { afterEach, describe, expect, it } from '@jest/globals';
import { ForbiddenException, HttpException, Inject, Injectable, Scope } from '@nestjs/common';
import { type JoinQuestion, type RoomAuthorizer, type WebSocketOptions, WebSocketServer } from '../../lib/index.js';
import { type AppOptions, type RunningApp, startApp } from '../support/app.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

type Authorize = NonNullable<NonNullable<WebSocketOptions['rooms']>['authorizeJoin']>;

@Injectable()
class Invitations {
  readonly list = new Set(['private:lobby']);
}

@Injectable()
class Authorizer implements RoomAuthorizer {
  static made = 0;
  static asked: JoinQuestion[] = [];
  constructor(@Inject(Invitations) private readonly invitations: Invitations) {
    Authorizer.made++;
    Authorizer.asked = [];
  }

  async authorizeJoin(question: JoinQuestion): Promise<boolean> {
    Authorizer.asked.push(question);
    return this.invitations.list.has(question.roomName);
  }
}

describe('who may join', () => {
  let running: RunningApp;
  afterEach(() => running.close());

  const start = async (authorizeJoin?: Authorize, more: AppOptions = {}): Promise<void> => {
    running = await startApp({ ...more, options: { rooms: { ...(authorizeJoin && { authorizeJoin }) } } });
  };

  const codeOf = async (roomName: string, authorizeJoin?: Authorize): Promise<unknown> => {
    await start(authorizeJoin);
    const peer = await running.connect();
    const { data, response } = await peer.request('system', 'joinRoom', { roomName });
    expect(running.rooms.getRoomClients({ roomName })).toEqual(response ? [peer.clientId] : []);
    return data?.code ?? response.success;
  };

  it('may anybody, where the name is public and authorizeJoin is not given', async () => {
    expect(await codeOf('lobby')).toBe(true);
  });

  it.each(['private:lobby', 'user:7', 'system:x'])('nobody by itself, where the name is %s', async (roomName) => {
    expect(await codeOf(roomName)).toBe('ROOM_FORBIDDEN');
    const peer = await running.connect();
    await running.server.joinRoom({ clientId: peer.clientId, roomName });
    expect(running.rooms.getRoomClients({ roomName })).toEqual([peer.clientId]);
  });

  it.each<[string, Authorize, unknown]>([
    ['true', () => true, true],
    ['a promise of true', async () => true, true],
    ['false', () => false, 'ROOM_FORBIDDEN'],
    ['a promise of false', async () => false, 'ROOM_FORBIDDEN'],
    ['nothing', (() => undefined) as never, 'ROOM_FORBIDDEN'],
    ['what is true only to JavaScript', (() => 'yes') as never, 'ROOM_FORBIDDEN'],
    ['an exception', fails(new ForbiddenException('Not you.')), 'FORBIDDEN'],
    [
      'an exception with a code',
      fails(new HttpException({ code: 'NOT_INVITED', message: 'Not you.' }, 403)),
      'NOT_INVITED',
    ],
    ['a bug', fails(new Error('SECRET')), 'INTERNAL'],
  ])('whom a function lets in, of every room: %s', async (_, authorizeJoin, expected) => {
    expect(await codeOf('lobby', authorizeJoin)).toBe(expected);
    expect(running.errors.map(({ message }) => message)).toEqual(expected === 'INTERNAL' ? ['SECRET'] : []);
  });

  it('is decided by a class: the instance that the application provides', async () => {
    Authorizer.made = 0;
    await start(Authorizer, { providers: [Invitations, Authorizer] });
    const peer = await running.connect();
    await peer.join('private:lobby', { password: 'x' });
    expect((await peer.request('system', 'joinRoom', { roomName: 'public' })).data.code).toBe('ROOM_FORBIDDEN');
    expect(Authorizer.made).toBe(1);
    expect(Authorizer.asked).toEqual([
      {
        client: running.clients.getClient(peer),
        roomName: 'private:lobby',
        data: { roomName: 'private:lobby', password: 'x' },
      },
      expect.objectContaining({ roomName: 'public' }),
    ]);
  });

  it('is decided by a class that the module creates', async () => {
    @Injectable()
    class Own implements RoomAuthorizer {
      authorizeJoin = ({ client }: JoinQuestion): boolean => client.params['tenant'] === undefined;
    }
    await start(Own);
    await (await running.connect()).join('private:x');
  });

  it.each(['rooms.authorizeJoin', 'users.load'])(
    'nobody that was told TIMEOUT meanwhile, by a slow %s',
    async (slow) => {
      let decide = (): void => undefined;
      const decision = new Promise<void>((resolve) => (decide = resolve));
      const joined: string[] = [];
      running = await startApp({
        options: {
          messages: { handlerTimeoutMs: 100 },
          rooms: { authorizeJoin: () => (slow === 'users.load' ? true : decision.then(() => true)) },
          users: { load: () => (slow === 'users.load' ? decision.then(() => ({ name: 'Ada' })) : { name: 'Ada' }) },
          subscriberEventHandler: ({ channel }) => void joined.push(channel),
        },
      });
      const peer = await running.connect();
      const request = { roomName: 'lobby', username: 'Ada', userId: 'ada' };
      expect((await peer.request('system', 'joinRoom', request)).data.code).toBe('TIMEOUT');
      decide();
      await peer.settle();
      const client = running.clients.getClient(peer);
      expect([running.rooms.rooms.size, client?.['username'], client?.user]).toEqual([0, undefined, null]);
      expect(joined).not.toContain('WebSocket:ClientJoinedRoom');
      await peer.join('lobby', { userId: 'ada' });
      expect([peer.received, running.errors]).toEqual([[], []]);
    },
  );

  describe('nobody that', () => {
    /** `authorizeJoin` decides when it is told to. */
    const undecided = async (): Promise<() => void> => {
      let decide = (): void => undefined;
      const decision = new Promise<void>((resolve) => (decide = resolve));
      await start(() => decision.then(() => true));
      return decide;
    };
    const membersOf = (roomName: string): string[] => running.rooms.getRoomClients({ roomName });

    it.each(['leaveRoom', 'removeClientFromRoom', 'removeClientFromAllRooms'])(
      'was thrown out meanwhile by %s',
      async (way) => {
        const decide = await undecided();
        const peer = await running.connect();
        const { clientId } = peer;
        await running.server.joinRoom({ clientId, roomName: 'lobby' });
        const again = peer.request('system', 'joinRoom', { roomName: 'lobby' });
        await peer.settle();
        if (way === 'leaveRoom') running.server.leaveRoom({ clientId, roomName: 'lobby' });
        else if (way === 'removeClientFromRoom') running.rooms.removeClientFromRoom({ clientId, roomName: 'lobby' });
        else running.rooms.removeClientFromAllRooms({ clientId });
        decide();
        expect((await again).data.code).toBe('ROOM_FORBIDDEN');
        expect(membersOf('lobby')).toEqual([]);
        await peer.join('lobby');
      },
    );

    it('has left again before the decision, of one room alone', async () => {
      const decide = await undecided();
      const peer = await running.connect();
      peer.send('system', 'joinRooms', { rooms: [{ roomName: 'lobby' }, { roomName: 'bar' }] }, 'j');
      expect((await peer.request('system', 'leaveRoom', { roomName: 'lobby' })).response.success).toBe(true);
      decide();
      const partOf = async (roomName: string): Promise<unknown> =>
        (await peer.take(({ id, response }) => id === 'j' && response?.roomName === roomName)).response;
      expect(await partOf('lobby')).toMatchObject({ error: { code: 'CANCELLED' } });
      expect(await partOf('bar')).toMatchObject({ success: true });
      expect([membersOf('lobby'), membersOf('bar')]).toEqual([[], [peer.clientId]]);
      await peer.join('lobby');
    });

    (hasRedis() ? it : it.skip)(
      'was thrown out meanwhile by another node, which doesn’t know it as a member',
      async () => {
        const redis = await TestRedis.start();
        let decide = (): void => undefined;
        const decision = new Promise<void>((resolve) => (decide = resolve));
        const rooms = { authorizeJoin: () => decision.then(() => true) };
        running = await startApp({ options: { redis: redis.url, rooms } });
        const other = await startApp({ options: { redis: redis.url } });
        try {
          const peer = await running.connect();
          const { clientId } = peer;
          await until(() => other.clients.getClient({ clientId }) !== undefined);
          const joining = peer.request('system', 'joinRoom', { roomName: 'lobby' });
          await peer.settle();
          other.server.leaveRoom({ clientId, roomName: 'lobby' });
          // Orders keep their order: once this one is carried out, the one before is.
          other.clients.updateClient({ clientId, key: 'mark', data: 1 });
          await until(() => running.clients.getClient({ clientId })?.['mark'] === 1);
          decide();
          expect((await joining).data.code).toBe('ROOM_FORBIDDEN');
          expect([membersOf('lobby'), peer.received]).toEqual([[], []]);
        } finally {
          await other.close();
          await running.close();
          await redis.stop();
        }
      },
    );

    it('server code took out of the room again, before its user was loaded', async () => {
      let load = (): void => undefined;
      const loaded = new Promise<void>((resolve) => (load = resolve));
      running = await startApp({ options: { users: { load: () => loaded.then(() => ({ name: 'Ada' })) } } });
      const { clientId } = await running.connect();
      const joining = running.server.joinRoom({ clientId, roomName: 'lobby', userId: 'ada' });
      running.server.leaveRoom({ clientId, roomName: 'lobby' });
      load();
      await expect(joining).rejects.toMatchObject({ code: 'CANCELLED' });
      expect(membersOf('lobby')).toEqual([]);
    });
  });

  it('R12: is not asked where the room name is invalid', async () => {
    await start(fails(new Error('asked')));
    const peer = await running.connect();
    for (const roomName of ['', 'a ', '{a}', 'x'.repeat(129), 7, null]) {
      expect((await peer.request('system', 'joinRoom', { roomName })).data.code).toBe('ROOM_NAME_INVALID');
    }
    expect(running.errors).toEqual([]);
  });

  it.each<[string, Authorize, AppOptions, string]>([
    [
      'a class without what it needs',
      Authorizer,
      {},
      '"rooms.authorizeJoin" names Authorizer, which can\'t be created here',
    ],
    ['a class of another kind', Invitations as never, {}, 'has no method authorizeJoin({ client, roomName, data })'],
    ['a text', 'Authorizer' as never, {}, '"rooms.authorizeJoin" must be a function, or a class'],
  ])('ends the start when it cannot work: %s', async (_, authorizeJoin, more, message) => {
    await expect(start(authorizeJoin, more)).rejects.toThrow(message);
    running = await startApp();
  });

  it('ends the start when it is request-scoped', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Scoped extends Authorizer {}
    await expect(start(Scoped, { providers: [Invitations, Scoped] })).rejects.toThrow('which is request-scoped');
    running = await startApp();
  });

  it('is decided by a function only on a server without Nest', async () => {
    const server = new WebSocketServer({ rooms: { authorizeJoin: Authorizer } });
    await expect(server.load()).rejects.toThrow('only a Nest application can create: give a function');
    running = await startApp();
  });
});

function fails(error: Error): () => never {
  return () => {
    throw error;
  };
}
