import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ConnectedClient, WsGateway, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';

let seen: string[];
let release: () => void;
let isReleased: Promise<void>;

@WsGateway('ask')
class Ask {
  @WsRoute('at-once')
  async atOnce(@ConnectedClient() client: ConnectedClient): Promise<unknown> {
    return client.request('quiz', 'question');
  }

  @WsRoute('later')
  async later(@ConnectedClient() client: ConnectedClient): Promise<unknown> {
    await isReleased;
    const answers = [client.request('quiz', 'question'), client.request('quiz', 'question')];
    return Promise.all(answers);
  }

  @WsRoute('thrice')
  async thrice(@ConnectedClient() client: ConnectedClient): Promise<unknown> {
    return Promise.all([1, 2, 3].map((n) => client.request('quiz', 'question', n)));
  }

  @WsRoute('note')
  async note(_ws: unknown, _clientId: string, data: string): Promise<string> {
    seen.push(`${data} begins`);
    await new Promise((resolve) => setImmediate(resolve));
    seen.push(`${data} ends`);
    return data;
  }

  @WsRoute('wait')
  async wait(): Promise<void> {
    await isReleased;
  }
}

let running: RunningApp;
let peer: Peer;
beforeEach(async () => {
  seen = [];
  isReleased = new Promise((resolve) => (release = resolve));
  running = await startApp({ providers: [Ask], options: { messages: { handlerTimeoutMs: 3_000 } } });
  peer = await running.connect();
});
afterEach(() => running.close());

/** The client answers a question once it has asked something itself. */
const answerAfterAsking = async (name: string): Promise<void> => {
  const { id, type, action } = await peer.next('quiz', 'question');
  expect((await peer.request('ask', 'note', name)).response).toBe(name);
  peer.sendRaw(JSON.stringify({ type, action, id, response: `after ${name}` }));
};

describe('a handler that asks its own client', () => {
  it('does not block the messages that the client must send before it can answer', async () => {
    peer.send('ask', 'at-once', null, 'first');
    await answerAfterAsking('a');
    expect((await peer.take(({ id }) => id === 'first')).response).toBe('after a');
  });

  it('does not block earlier messages, nor those that each of several questions needs', async () => {
    peer.send('ask', 'later', null, 'first');
    peer.send('ask', 'note', 'waited', 'second');
    await peer.settle();
    expect(seen).toEqual([]);
    release();
    expect((await peer.take(({ id }) => id === 'second')).response).toBe('waited');
    await answerAfterAsking('a');
    await answerAfterAsking('b');
    expect((await peer.take(({ id }) => id === 'first')).response).toEqual(['after a', 'after b']);
  });

  it('may ask again from a handler that the client calls meanwhile, to any depth', async () => {
    peer.send('ask', 'at-once', null, 1);
    const questions: { id: number; type: string; action: string }[] = [];
    for (let depth = 2; depth < 6; depth++) {
      questions.push(await peer.next('quiz', 'question'));
      peer.send('ask', 'at-once', null, depth);
    }
    questions.push(await peer.next('quiz', 'question'));
    for (const { id, type, action } of questions.toReversed())
      peer.sendRaw(JSON.stringify({ type, action, id, response: id }));
    for (let depth = 5; depth > 0; depth--)
      expect((await peer.take((frame) => frame.id === depth && 'response' in frame)).response).toBe(depth);
  });

  it.each(['thrice', 'later'])(
    'asks several questions, and the messages behind it still come one by one: %s',
    async (action) => {
      peer.send('ask', action, null, 'first');
      release();
      const question = await peer.next('quiz', 'question');
      for (const name of ['a', 'b', 'c']) peer.send('ask', 'note', name);
      await peer.request('ask', 'note', 'd');
      expect(seen).toEqual(['a', 'b', 'c', 'd'].flatMap((name) => [`${name} begins`, `${name} ends`]));
      const answer = { type: question.type, action: question.action, response: 1 };
      // The first answer doesn't end the wait of the handler: it has asked more.
      peer.sendRaw(JSON.stringify({ ...answer, id: question.id }));
      expect((await peer.request('ask', 'note', 'e')).response).toBe('e');
      for (const id of action === 'thrice' ? [2, 3] : [2]) peer.sendRaw(JSON.stringify({ ...answer, id }));
      expect((await peer.take(({ id }) => id === 'first')).response).toBeInstanceOf(Array);
    },
  );

  it('keeps the order of what comes after the answer', async () => {
    peer.send('ask', 'at-once', null, 'first');
    const { id, type, action } = await peer.next('quiz', 'question');
    peer.sendRaw(JSON.stringify({ type, action, id, response: 1 }));
    await peer.take((frame) => frame.id === 'first');
    for (const name of ['a', 'b', 'c']) peer.send('ask', 'note', name);
    await peer.request('ask', 'note', 'd');
    expect(seen).toEqual(['a', 'b', 'c', 'd'].flatMap((name) => [`${name} begins`, `${name} ends`]));
  });
});

describe('a question that no handler asked', () => {
  it('leaves the order of messages as it is', async () => {
    const answer = running.clients.getClient(peer)?.request('quiz', 'question');
    const { id, type, action } = await peer.next('quiz', 'question');
    peer.send('ask', 'wait');
    for (const name of ['a', 'b']) peer.send('ask', 'note', name);
    await peer.settle();
    expect(seen).toEqual([]);
    release();
    await peer.request('ask', 'note', 'c');
    expect(seen).toEqual(['a', 'b', 'c'].flatMap((name) => [`${name} begins`, `${name} ends`]));
    peer.sendRaw(JSON.stringify({ type, action, id, response: 'yes' }));
    expect(await answer).toBe('yes');
  });
});
