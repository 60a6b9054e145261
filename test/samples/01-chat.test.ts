import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type Frame, Peer } from '../support/peer.js';
import { missingClientFiles } from './client-files.js';
import { type RunningSample, startSample } from './start-sample.js';

const peers: Peer[] = [];

/** A bare socket in a room, under a name. */
async function enter(sample: RunningSample, username: string, roomName = 'general'): Promise<Peer> {
  const peer = await connect(sample);
  await peer.join(roomName, { username });
  return peer;
}

async function connect(sample: RunningSample): Promise<Peer> {
  const peer = await Peer.open(`${sample.url.replace('http', 'ws')}/ws`);
  peers.push(peer);
  return peer;
}

const send = (peer: Peer, text: unknown, roomName = 'general', key?: string): Promise<Frame> =>
  peer.request('chat', 'send', { roomName, text, key });

const peopleIn = (roomName: string, { data }: Frame): Frame[] =>
  (data.clients ?? []).filter(({ rooms }: Frame) => rooms?.includes(roomName));

/** What the database keeps of a room, the oldest first. */
const load = async (peer: Peer, roomName: string): Promise<Frame> =>
  (await peer.request('chat', 'load', { roomName })).response;

const textsOf = ({ messages }: Frame): string[] => (messages as { text: string }[]).map(({ text }) => text);

afterEach(() => {
  for (const peer of peers.splice(0)) peer.terminate();
});

describe('the chat sample over bare sockets', () => {
  let sample: RunningSample;
  beforeAll(async () => {
    sample = await startSample('01-chat', { CHAT_DB: ':memory:' });
  });
  afterAll(() => sample?.stop());

  it('gives a message to everybody in the room and answers with its id', async () => {
    const [ada, bob, eve] = [
      await enter(sample, 'Ada'),
      await enter(sample, 'Bob'),
      await enter(sample, 'Eve', 'random'),
    ];
    const { response } = await send(ada, '  Hello, Bob!  ');
    const message = {
      id: expect.any(Number),
      roomName: 'general',
      clientId: ada.clientId,
      username: 'Ada',
      text: 'Hello, Bob!',
      at: expect.any(Number),
    };
    const received = [await bob.next('chat', 'message'), await ada.next('chat', 'message')];
    for (const { data } of received) expect(data).toEqual({ ...message, ...response });
    await eve.settle();
    expect(eve.received.filter(({ type }) => type === 'chat')).toEqual([]);
  });

  it.each([
    ['nothing but spaces', '   ', ['A message has 1 to 1,000 characters.']],
    ['1,001 characters', 'x'.repeat(1_001), ['A message has 1 to 1,000 characters.']],
    ['a number', 7, ['A message has 1 to 1,000 characters.', 'A message is text.']],
  ])('refuses %s with the sentences of the DTO', async (_, text, details) => {
    const ada = await enter(sample, 'Ada');
    const { type, action, data } = await send(ada, text);
    expect({ type, action }).toEqual({ type: 'error', action: 'message' });
    expect(data).toMatchObject({ code: 'VALIDATION_FAILED', type: 'chat', action: 'send' });
    expect(new Set(data.details)).toEqual(new Set(details));
  });

  it.each(['send', 'typing'])('refuses %s to somebody who is not in the room', async (action) => {
    const eve = await enter(sample, 'Eve', 'random');
    const { data } = await eve.request('chat', action, { roomName: 'general', text: 'Hi', isTyping: true });
    expect(data).toMatchObject({ code: 'FORBIDDEN', error: 'You are not in this room. Join it first.' });
  });

  it.each([null, 'general', {}, { roomName: { toString: 1 } }, { roomName: ['general'] }])(
    'refuses data that names no room: %j',
    async (data) => {
      const ada = await enter(sample, 'Ada');
      expect((await ada.request('chat', 'typing', data)).data).toMatchObject({ code: 'FORBIDDEN' });
      expect((await ada.request('chat', 'load', data)).data).toMatchObject({ code: 'VALIDATION_FAILED' });
    },
  );

  it.each([
    ['no name', {}],
    ['an empty name', { username: '' }],
    ['a name of spaces', { username: '   ' }],
    ['a name that ends in a space', { username: 'Ada ' }],
    ['a name with a line break', { username: 'Ada\nBob' }],
    ['a name that turns the text around', { username: 'Ada\u202e' }],
    ['a name of 33 characters', { username: 'x'.repeat(33) }],
    ['a name that is no text', { username: ['Ada'] }],
  ])('lets nobody in with %s', async (_, details) => {
    const peer = await connect(sample);
    const { data } = await peer.request('system', 'joinRoom', { roomName: 'general', ...details });
    expect(data).toMatchObject({ code: 'VALIDATION_FAILED', details: ['A name has 1 to 32 visible characters.'] });
  });

  it.each(['private:ada', 'General', 'a room', '-', 'x'.repeat(33)])('opens no room called %j', async (roomName) => {
    const peer = await connect(sample);
    const { data } = await peer.request('system', 'joinRoom', { roomName, username: 'Ada' });
    expect(['VALIDATION_FAILED', 'ROOM_NAME_INVALID']).toContain(data.code);
  });

  it.each([
    ['no name', {}],
    ['an empty name', { name: '' }],
    ['a name that turns the text around', { name: 'Ada\u202e' }],
    ['a name that is no text', { name: { Ada: 1 } }],
    ['a text', 'Ada'],
    ['nothing', null],
    ['more than a name', { name: 'Ada', isAdmin: true }],
  ])('lets nobody appear to others with %s', async (_, presenceData) => {
    const peer = await connect(sample);
    const codeOf = async (action: string, data: object): Promise<unknown> =>
      (await peer.request('system', action, { roomName: 'general', ...data })).data?.code;
    expect(await codeOf('joinRoom', { username: 'Ada', presenceData })).toMatch(/^(VALIDATION_FAILED|FORBIDDEN)$/);
    await peer.join('general', { username: 'Ada', presenceData: { name: 'Ada' } });
    expect(await codeOf('updatePresence', { data: presenceData })).toMatch(/^(VALIDATION_FAILED|FORBIDDEN)$/);
    expect(await codeOf('updatePresence', { data: { name: 'Zoë' } })).toBeUndefined();
  });

  it.each(['A', 'Ada Lovelace', 'Zoë', '李小龍', 'Ada 🎉', 'x'.repeat(32)])('lets %s in', async (username) => {
    const peer = await connect(sample);
    const { history, ...data } = (await peer.join('general', { username })).response.data;
    expect(data).toEqual({ roomName: 'general', username });
    expect(history).toEqual({ epoch: expect.any(String), offset: expect.any(Number), missed: 0 });
  });

  it('stores and sends a message once that comes twice with the same key', async () => {
    const ada = await enter(sample, 'Ada', 'once');
    const first = await send(ada, 'Once', 'once', 'key-00000001');
    const second = await send(ada, 'Once', 'once', 'key-00000001');
    expect(second.response).toEqual(first.response);
    expect(ada.received.filter(({ action }) => action === 'message')).toHaveLength(1);
    expect(textsOf(await load(ada, 'once'))).toEqual(['Once']);
  });

  it('tells the others, and only them, who is typing', async () => {
    const [ada, bob] = [await enter(sample, 'Ada'), await enter(sample, 'Bob')];
    ada.send('chat', 'typing', { roomName: 'general', isTyping: true });
    expect((await bob.next('chat', 'typing')).data).toEqual({
      roomName: 'general',
      clientId: ada.clientId,
      username: 'Ada',
      isTyping: true,
    });
    await ada.settle();
    expect(ada.received.filter(({ action }) => action === 'typing')).toEqual([]);
  });

  it('gives somebody who comes back what was missed, and not who was typing', async () => {
    const [ada, bob] = [await enter(sample, 'Ada', 'away'), await enter(sample, 'Bob', 'away')];
    await send(ada, 'Bob?', 'away');
    const { at } = await bob.next('chat', 'message');
    bob.terminate();
    await ada.take(({ action, data }) => action === 'left' && data.clientId === bob.clientId);
    for (const text of ['Are', 'you', 'there?']) {
      ada.send('chat', 'typing', { roomName: 'away', isTyping: true });
      await send(ada, text, 'away');
    }

    const back = await connect(sample);
    const { epoch, offset } = at;
    const { response } = await back.join('away', { username: 'Bob', since: { epoch, offset } });
    expect(response.data.history).toMatchObject({ recovered: true, missed: 3 });
    for (const text of ['Are', 'you', 'there?']) {
      expect((await back.next('chat', 'message')).data).toMatchObject({ username: 'Ada', text });
    }
    await back.settle();
    expect(back.received.filter(({ type }) => type === 'chat')).toEqual([]);
  });

  it('reads the place before the messages, so that a page that joins with it misses nothing', async () => {
    const [ada, zoe] = [await enter(sample, 'Ada', 'loading'), await connect(sample)];
    await send(ada, 'Before', 'loading');
    const { position, messages } = await load(zoe, 'loading');
    expect(textsOf({ messages })).toEqual(['Before']);
    await send(ada, 'Meanwhile', 'loading');
    const { response } = await zoe.join('loading', { username: 'Zoë', since: position });
    expect(response.data.history).toMatchObject({ recovered: true, missed: 1 });
    expect((await zoe.next('chat', 'message')).data).toMatchObject({ text: 'Meanwhile' });
  });

  it('tells the rooms of somebody whose connection ends', async () => {
    const [ada, bob] = [await enter(sample, 'Ada'), await enter(sample, 'Bob')];
    bob.terminate();
    const { data } = await ada.take(({ action, data }) => action === 'left' && data.clientId === bob.clientId);
    expect(data).toEqual({ clientId: bob.clientId, username: 'Bob' });
  });

  it('lists who is in which room', async () => {
    const ada = await enter(sample, 'Ada', 'presence');
    const bob = await enter(sample, 'Bob', 'presence');
    const list = await ada.take((frame) => frame.action === 'clientList' && peopleIn('presence', frame).length === 2);
    expect(peopleIn('presence', list)).toEqual([
      { clientId: ada.clientId, username: 'Ada', rooms: ['presence'] },
      { clientId: bob.clientId, username: 'Bob', rooms: ['presence'] },
    ]);
  });

  it('serves the page, and of the package nothing but what the browser client needs', async () => {
    const statusOf = async (path: string): Promise<number> => (await fetch(sample.url + path)).status;
    const page = await fetch(sample.url);
    expect(page.headers.get('content-security-policy')).toMatch(/script-src 'self' 'sha256-[\w+/=]+';/);
    expect(await page.text()).toContain('<script type="importmap">');
    for (const path of ['/pxl/client/browser.js', '/pxl/errors.js', '/pxl/protocol/close-codes.js']) {
      expect([path, await statusOf(path)]).toEqual([path, 200]);
    }
    expect(await missingClientFiles(sample.url)).toEqual([]);
    for (const path of ['/pxl/index.js', '/pxl/server.js', '/pxl/..%2fpackage.json', '/main.ts']) {
      expect([path, await statusOf(path)]).toEqual([path, 404]);
    }
  });
});

describe('the database of the chat sample', () => {
  let folder: string;
  let sample: RunningSample | undefined;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'pxl-chat-'));
  });
  afterEach(async () => {
    await sample?.stop();
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('keeps the last 50 messages of a room in order when the process is killed and started again', async () => {
    const env = { CHAT_DB: join(folder, 'deep', 'chat.db') };
    sample = await startSample('01-chat', env);
    const writers = [await enter(sample, 'Ada'), await enter(sample, 'Bob')];
    const quiet = await enter(sample, 'Eve', 'random');
    await send(quiet, 'Still here', 'random');
    for (let number = 1; number <= 57; number++) await send(writers[number % 2] as Peer, `Message ${number}`);
    sample.child.kill('SIGKILL');
    await sample.stop();

    sample = await startSample('01-chat', env);
    const reader = await enter(sample, 'Zoë');
    const expected = Array.from({ length: 50 }, (_, index) => `Message ${index + 8}`);
    const loaded = await load(reader, 'general');
    expect(textsOf(loaded)).toEqual(expected);
    expect(loaded.messages[0]).toMatchObject({ roomName: 'general', username: 'Ada', at: expect.any(Number) });

    const lastId = loaded.messages.at(-1).id as number;
    expect((await send(reader, 'And on it goes')).response.id).toBeGreaterThan(lastId);
    expect(textsOf(await load(reader, 'general'))).toEqual([...expected.slice(1), 'And on it goes']);
    expect(textsOf(await load(reader, 'random'))).toEqual(['Still here']);
  });
});
