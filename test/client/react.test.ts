import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import type { WebSocketClient } from '../../lib/client/browser.js';
import { findChromium, launchChromium } from '../support/chromium.js';
import { aMoment, type Peer, ScriptedServer } from './support.js';

declare const page: {
  client: WebSocketClient;
  version: string;
  seen: string[];
  setRooms(names: string[]): void;
  setShown(isShown: boolean): void;
};

const pathOf = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const VERSIONS = [
  ['19', pathOf('../../node_modules')],
  ['18', pathOf('../fixtures/react-18/node_modules')],
] as const;

const hasChromium = findChromium() !== undefined;
const suite = hasChromium ? describe : describe.skip;

suite.each(VERSIONS)('the hooks in React %s', (version, folder) => {
  let server: ScriptedServer;
  let browser: Browser;
  let tab: Page;
  let peer: Peer;
  const complaints: string[] = [];

  beforeAll(async () => {
    const run = ['--import', pathOf('../support/ts-loader.mjs'), pathOf('react-bundle.ts'), folder];
    const code = execFileSync(process.execPath, run, { maxBuffer: 2 ** 26 }).toString();
    server = await ScriptedServer.start((request, response) => {
      if (request.url === '/page.js') return response.writeHead(200, { 'content-type': 'text/javascript' }).end(code);
      const html =
        '<!doctype html><link rel="icon" href="data:,"><main id="root"></main><script src="/page.js"></script>';
      return response.writeHead(200, { 'content-type': 'text/html' }).end(html);
    });
    browser = await launchChromium();
  });

  beforeEach(async () => {
    tab = await browser.newPage();
    tab.on('pageerror', (error) => complaints.push(error.message));
    tab.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    await tab.goto(server.url.replace(/^ws(.*)\/ws$/, 'http$1/'));
    peer = await server.peers.take();
  });

  afterEach(async () => {
    await tab.close();
    await peer.closed;
    expect(complaints.splice(0)).toEqual([]);
  });

  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  const shows = (text: string): Promise<unknown> =>
    tab.waitForFunction((wanted) => document.body.innerText.includes(wanted), text);
  const joins = (): unknown[] =>
    peer.frames.all.filter(({ action }) => action.startsWith('join')).map(({ data }) => data);

  it('connect once and join once, though StrictMode mounts everything twice', async () => {
    expect(await tab.evaluate(() => page.version.split('.')[0])).toBe(version);
    await shows('open client-');
    await shows('lobby live');
    await aMoment(100);
    expect(joins()).toEqual([{ roomName: 'lobby', username: 'Ada' }]); // of two components
    expect(server.peers.all).toEqual([peer]);
    expect(await tab.evaluate(() => page.client.state)).toBe('open');
  });

  it('give each component the messages of its room, once', async () => {
    await shows('lobby live');
    for (const data of ['one', 'two'])
      peer.send({ type: 'system', action: 'publication', data, at: { room: 'lobby' } } as never);
    await shows('lobby live one two');
    expect(await tab.locator('.room').allInnerTexts()).toEqual(['lobby live one two', 'lobby live one two']);
  });

  it('show that the connection is lost, and that it is back', async () => {
    await shows('lobby live');
    peer.socket.close(1011);
    const lost = peer;
    peer = await server.peers.take();
    await tab.waitForFunction(() => page.seen.at(-1)?.startsWith('open'));
    await shows('lobby live');
    expect(await tab.evaluate(() => page.seen)).toEqual(expect.arrayContaining(['reconnecting 1']));
    expect(lost).not.toBe(peer);
  });

  it('leave a room with its last component, and disconnect with the last of all', async () => {
    await shows('lobby live');
    await tab.evaluate(() => page.setRooms(['lobby', 'kitchen']));
    await shows('kitchen live');
    expect(peer.frames.all.some(({ action }) => action === 'leaveRoom')).toBe(false);
    await tab.evaluate(() => page.setRooms(['kitchen']));
    expect((await peer.next('system', 'leaveRoom')).data).toEqual({ roomName: 'lobby' });
    await tab.evaluate(() => page.setShown(false));
    expect(await peer.closed).toMatchObject({ code: 1000 });
    await tab.evaluate(() => page.setShown(true));
    peer = await server.peers.take();
    await shows('kitchen live');
  });

  it('join again when the application has disconnected and connects again', async () => {
    await shows('lobby live');
    await tab.evaluate(() => {
      page.client.disconnect();
      void page.client.connectToServer();
    });
    await peer.closed;
    peer = await server.peers.take();
    expect((await peer.next('system', 'joinRoom')).data).toEqual({ roomName: 'lobby', username: 'Ada' });
    await shows('lobby live');
    expect(await tab.evaluate(() => [...page.client.rooms])).toEqual(['lobby']);
  });

  it('leave the application in a room that it has joined before them', async () => {
    await shows('lobby live');
    await tab.evaluate(() => page.client.room('kitchen').join());
    for (const names of [['kitchen', 'attic'], []]) {
      await tab.evaluate((rooms) => page.setRooms(rooms), names);
      if (names.length > 0) await shows('kitchen live');
      expect((await peer.next('system', 'leaveRoom')).data).toEqual({ roomName: names.length > 0 ? 'lobby' : 'attic' });
    }
    expect(await tab.evaluate(() => [...page.client.rooms])).toEqual(['kitchen']);
  });

  it('leave a room that the application had joined, after it has disconnected and they have joined again', async () => {
    await shows('lobby live');
    await tab.evaluate(() => page.client.room('kitchen').join());
    await tab.evaluate(() => page.setRooms(['kitchen']));
    await shows('kitchen live');
    await tab.evaluate(() => {
      page.client.disconnect();
      void page.client.connectToServer();
    });
    peer = await server.peers.take();
    await shows('kitchen live');
    await tab.evaluate(() => page.setRooms([]));
    expect((await peer.next('system', 'leaveRoom')).data).toEqual({ roomName: 'kitchen' });
  });

  it('stay closed when the server said so, and go on when the application connects, whose connection it is then', async () => {
    await shows('lobby live');
    const before = server.peers.all.length;
    peer.socket.close(4010, 'kicked');
    await tab.waitForFunction(() => page.seen.at(-1) === 'closed');
    await tab.evaluate(() => page.setRooms(['lobby', 'kitchen']));
    await shows('kitchen joining');
    await aMoment(100);
    expect(server.peers.all.length).toBe(before);
    await tab.evaluate(() => page.client.connectToServer());
    peer = await server.peers.take();
    await shows('lobby live');
    await shows('kitchen live');
    await tab.evaluate(() => page.setShown(false));
    for (const roomName of ['lobby', 'kitchen'])
      expect((await peer.next('system', 'leaveRoom')).data).toEqual({ roomName });
    expect(await tab.evaluate(() => page.client.state)).toBe('open');
  });

  it('connect again after such a close when all were unmounted and one is mounted', async () => {
    await shows('lobby live');
    peer.socket.close(4010, 'kicked');
    await tab.waitForFunction(() => page.seen.at(-1) === 'closed');
    await tab.evaluate(() => page.setShown(false));
    await tab.waitForFunction(() => page.client.rooms.size === 0);
    await tab.evaluate(() => page.setShown(true));
    peer = await server.peers.take();
    await shows('lobby live');
  });

  it('say that a name is none of a room, and leave the page as it is', async () => {
    await shows('lobby live');
    await tab.evaluate(() => page.setRooms(['lobby', 'bad{name']));
    await shows('bad{name idle A room name');
    await shows('lobby live');
    await tab.evaluate(() => page.setRooms(['kitchen']));
    await shows('kitchen live');
  });

  it('show why a room was refused', async () => {
    const { answer } = server;
    server.answer = (frame, to) =>
      frame.action === 'joinRoom' && (frame.data as { roomName: string }).roomName === 'cellar'
        ? to.refuse(frame, 'ROOM_FORBIDDEN', 'Not you.')
        : answer(frame, to);
    await shows('lobby live');
    await tab.evaluate(() => page.setRooms(['cellar']));
    await shows('cellar idle Not you.');
    server.answer = answer;
  });

  it('show who is in a room, to each component the same, and that this is as it was', async () => {
    const { answer } = server;
    const user = (userId: string): object => ({ userId, data: null, connections: 1 });
    const told = { epoch: 'e', version: 1, total: 2, users: [user('me'), user('Bob')] };
    server.answer = (frame, to) =>
      frame.action === 'joinRoom' && (frame.data as { presence?: unknown }).presence
        ? to.reply(frame, { success: true, data: { roomName: 'people', presence: told } })
        : answer(frame, to);
    await shows('lobby live');
    await tab.evaluate(() => page.setRooms(['people', 'people']));
    await shows('people live are 2: me and Bob');
    expect((await peer.next('system', 'joinRoom')).data).toMatchObject({ roomName: 'lobby' });
    expect((await peer.next('system', 'joinRoom')).data).toMatchObject({
      presence: true,
      presenceData: { name: 'Ada' },
    });
    const push = { epoch: 'e', version: 2, total: 2, joined: [user('Cy')], updated: [], left: ['Bob'] };
    peer.send({ type: 'system', action: 'presence', data: { roomName: 'people', ...push } });
    await shows('people live are 2: me and Cy');
    peer.send({ type: 'system', action: 'presence', data: { roomName: 'people', epoch: 'e', version: 3, total: 300 } });
    await shows('people live are 300:');
    expect(await tab.locator('.room').allInnerTexts()).toEqual(Array(2).fill('people live are 300:'));
    expect((await peer.next('system', 'leaveRoom')).data).toEqual({ roomName: 'lobby' });
    await tab.evaluate(() => page.setRooms([]));
    expect((await peer.next('system', 'leaveRoom')).data).toEqual({ roomName: 'people' }); // else it would go on
    await tab.evaluate(() => page.setRooms(['people']));
    await shows('people live are 2: me and Bob');
    server.refusal = { status: 503 };
    peer.socket.close(1011);
    await shows('people suspended were 2: me and Bob');
    server.refusal = undefined;
    peer = await server.peers.take();
    await shows('people live are 2: me and Bob');
    complaints.length = 0; // the page may have tried while it was refused
    server.answer = answer;
  });
});
