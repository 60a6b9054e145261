import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type Frame, Peer } from '../support/peer.js';
import { missingClientFiles } from './client-files.js';
import { type RunningSample, startSample } from './start-sample.js';

let sample: RunningSample;
const peers: Peer[] = [];

/** A bare socket with a few words of the game. */
async function connect(): Promise<Peer> {
  const peer = await Peer.open(`${sample.url.replace('http', 'ws')}/ws`);
  peers.push(peer);
  return peer;
}

const state = async (peer: Peer, fits: (data: Frame) => boolean = () => true): Promise<Frame> =>
  (await peer.take(({ type, action, data }) => type === 'game' && action === 'state' && fits(data))).data;

const codeOf = ({ data }: Frame): string => data?.code;

async function beginGame(): Promise<{ ada: Peer; bob: Peer; gameId: string; token: string }> {
  const [ada, bob] = [await connect(), await connect()];
  const { gameId, token, seat } = (await ada.request('game', 'create', { name: ' Ada ' })).response;
  expect(seat).toBe(0);
  expect(await state(ada)).toMatchObject({ gameId, status: 'waiting', players: [{ name: 'Ada' }, null] });
  expect((await bob.request('game', 'join', { gameId, name: 'Bob' })).response).toMatchObject({ gameId, seat: 1 });
  for (const peer of [ada, bob]) {
    const { players } = await state(peer);
    expect(players).toMatchObject([{ name: 'Ada' }, { name: 'Bob' }]);
  }
  return { ada, bob, gameId, token };
}

afterEach(() => {
  for (const peer of peers.splice(0)) peer.terminate();
});

describe('the game sample over bare sockets', () => {
  beforeAll(async () => {
    sample = await startSample('02-game');
  });
  afterAll(async () => {
    await sample?.stop();
  });

  it('plays to a win, pushes every state to both, and plays again', async () => {
    const { ada, bob, gameId } = await beginGame();
    for (const [turn, column] of [3, 4, 3, 4, 3, 4, 3].entries()) {
      const mover = turn % 2 === 0 ? ada : bob;
      expect((await mover.request('game', 'move', { gameId, column })).response).toBeNull();
      const [seen, alsoSeen] = [await state(ada), await state(bob)];
      expect(seen).toEqual(alsoSeen);
      expect(seen.cells[seen.lastCell]).toBe(turn % 2);
    }
    expect(codeOf(await bob.request('game', 'move', { gameId, column: 0 }))).toBe('GAME_OVER');

    await ada.request('game', 'rematch', { gameId });
    expect(await state(bob)).toMatchObject({
      status: 'over',
      outcome: { winner: 0, reason: 'line', line: [17, 24, 31, 38] },
      players: [{ wins: 1, wantsRematch: true }, { wins: 0 }],
    });
    await bob.request('game', 'rematch', { gameId });
    expect(await state(ada, ({ status }) => status === 'playing')).toMatchObject({ turn: 1, outcome: null });
  });

  it('refuses a third player, in a room of its own making too', async () => {
    const { ada, gameId } = await beginGame();
    const third = await connect();
    expect(codeOf(await third.request('game', 'join', { gameId, name: 'Eve' }))).toBe('GAME_FULL');
    expect(codeOf(await third.request('system', 'joinRoom', { roomName: `game:${gameId}` }))).toBe('ROOM_FORBIDDEN');
    await ada.request('game', 'move', { gameId, column: 0 });
    await third.settle();
    expect(third.received).toEqual([]);
  });

  it('refuses a move out of turn, and one into a full column', async () => {
    const { ada, bob, gameId } = await beginGame();
    expect(await bob.request('game', 'move', { gameId, column: 3 })).toMatchObject({
      type: 'error',
      data: { code: 'NOT_YOUR_TURN', type: 'game', action: 'move', error: "It isn't your turn." },
    });
    for (const mover of [ada, bob, ada, bob, ada, bob]) await mover.request('game', 'move', { gameId, column: 3 });
    expect(codeOf(await ada.request('game', 'move', { gameId, column: 3 }))).toBe('ILLEGAL_MOVE');
  });

  it.each([-1, 7, 1.5, '3', null, undefined])('refuses the column %p as invalid', async (column) => {
    const { ada, gameId } = await beginGame();
    expect(codeOf(await ada.request('game', 'move', { gameId, column }))).toBe('VALIDATION_FAILED');
  });

  it('lets only a player of that game act', async () => {
    const { ada, gameId } = await beginGame();
    const [stranger, other] = [await connect(), await connect()];
    const otherGame = (await other.request('game', 'create', { name: 'Olga' })).response.gameId;
    for (const action of ['move', 'rematch', 'leave']) {
      for (const peer of [stranger, other]) {
        expect(codeOf(await peer.request('game', action, { gameId, column: 3 }))).toBe('NOT_A_PLAYER');
      }
    }
    expect(codeOf(await ada.request('game', 'move', { gameId: otherGame, column: 3 }))).toBe('NOT_A_PLAYER');
    for (const data of [undefined, null, 'text', [], { gameId: { toString: 1 } }, {}]) {
      expect(codeOf(await stranger.request('game', 'move', data))).toBe('NOT_A_PLAYER');
    }
  });

  it('refuses names that are none, and games that are none', async () => {
    const peer = await connect();
    for (const name of ['', '   ', 'x'.repeat(25), 'a\nb', '\u202eevil', 7, undefined]) {
      expect(codeOf(await peer.request('game', 'create', { name }))).toBe('VALIDATION_FAILED');
    }
    expect(codeOf(await peer.request('game', 'join', { gameId: 'nosuch99', name: 'A' }))).toBe('NO_SUCH_GAME');
    expect(codeOf(await peer.request('game', 'join', { gameId: '../..', name: 'A' }))).toBe('VALIDATION_FAILED');
  });

  it('gives the round to the opponent of a player who leaves, and the seat to the next', async () => {
    const { ada, bob, gameId } = await beginGame();
    await ada.request('game', 'leave', { gameId });
    expect(await ada.next('system', 'leftRoom')).toMatchObject({ data: { roomName: `game:${gameId}` } });
    expect(await state(bob, ({ status }) => status === 'over')).toMatchObject({
      outcome: { winner: 1, reason: 'left' },
      players: [null, { name: 'Bob', wins: 1 }],
    });
    const eve = await connect();
    expect((await eve.request('game', 'join', { gameId, name: 'Eve' })).response.seat).toBe(0);
    expect((await state(bob)).players).toMatchObject([{ name: 'Eve' }, { name: 'Bob' }]);
  });

  it('tells the opponent of a lost connection, and keeps the seat for who returns with its token', async () => {
    const { ada, bob, gameId, token } = await beginGame();
    await ada.request('game', 'move', { gameId, column: 6 });
    ada.terminate();
    expect(await state(bob, ({ players }) => !players[0].isConnected)).toMatchObject({ status: 'playing', turn: 1 });

    const thief = await connect();
    expect(codeOf(await thief.request('game', 'join', { gameId, name: 'Ada', token: 'guessed' }))).toBe('GAME_FULL');
    const again = await connect();
    const { response } = await again.request('game', 'join', { gameId, name: 'Ada', token });
    expect(response).toEqual({ gameId, seat: 0, token });
    expect((await state(again)).cells[41]).toBe(0);
    expect(await state(bob, ({ players }) => players[0].isConnected)).toMatchObject({ status: 'playing' });
  });

  it('tells a connection whose seat went to another of the same player', async () => {
    const { ada, gameId, token } = await beginGame();
    const second = await connect();
    await second.request('game', 'join', { gameId, name: 'Ada', token });
    await ada.next('system', 'leftRoom');
    expect(codeOf(await ada.request('game', 'move', { gameId, column: 0 }))).toBe('NOT_A_PLAYER');
    expect((await second.request('game', 'move', { gameId, column: 0 })).response).toBeNull();
  });

  it('serves its page and the built browser client, and nothing else', async () => {
    const page = await fetch(sample.url);
    expect(page.headers.get('content-type')).toMatch('text/html');
    expect(await page.text()).toContain('"@scpxl/nestjs-websocket/client": "/pxl/client/browser.js"');
    expect(await missingClientFiles(sample.url)).toEqual([]);
    for (const path of ['/pxl/', '/pxl/../package.json', '/pxl/%2e%2e/package.json', '/main.ts']) {
      expect((await fetch(sample.url + path)).status).toBe(404);
    }
  });
});

describe('the game sample with hardly any patience', () => {
  beforeAll(async () => {
    sample = await startSample('02-game', { GAME_GRACE_MS: '50' });
  });

  it('gives the round to the opponent of a player who stays away; stops cleanly', async () => {
    const { ada, bob } = await beginGame();
    ada.terminate();
    expect(await state(bob, ({ status }) => status === 'over')).toMatchObject({
      outcome: { winner: 1, reason: 'left' },
      players: [null, { wins: 1 }],
    });
    const { signal, code, isForced } = await sample.stop();
    expect({ isForced, hasEnded: signal === 'SIGTERM' || code === 0 }).toEqual({ isForced: false, hasEnded: true });
    expect(await bob.closed).toMatchObject({ code: 1012 });
  });
});
