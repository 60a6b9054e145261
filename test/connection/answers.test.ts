import { afterEach, describe, expect, it } from '@jest/globals';
import { WsGateway, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';
import { RawPeer } from '../support/raw-peer.js';

let release: () => void;
let isReleased: Promise<void>;

@WsGateway('pay')
class Pay {
  @WsRoute('order')
  async order(): Promise<string> {
    await isReleased;
    return 'paid';
  }
}

let running: RunningApp;
afterEach(() => running.close());

const start = async (): Promise<Peer> => {
  isReleased = new Promise((resolve) => (release = resolve));
  running = await startApp({ providers: [Pay], options: { messages: { maxBadFrames: 2 } } });
  return running.connect();
};

const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);

describe('an answer of a client that can not be read', () => {
  it.each([
    ['is too deep', `"response":${nested(40)}`],
    ['has a forbidden key', '"response":{"__proto__":{}}'],
    ['has no route', '"response":1,"action":""'],
    ['is the end of a stream that is too deep', `"done":true,"more":${nested(40)}`],
  ])('fails the question at once and touches nothing else when it %s', async (_what, flaw) => {
    const peer = await start();
    peer.send('pay', 'order', null, 1);
    await peer.settle();
    for (let n = 0; n < 5; n++) {
      const answer = running.clients.getClient(peer)?.request('quiz', 'question', n, { timeoutMs: 60_000 });
      const { id } = await peer.next('quiz', 'question');
      if (n === 0) expect(id).toBe(1); // both sides count from 1
      peer.sendRaw(`{"type":"quiz","action":"question","id":${id},${flaw}}`);
      await expect(answer).rejects.toMatchObject({ name: 'RemoteError', code: 'BAD_FRAME' });
    }
    release();
    expect(await peer.take(({ id }) => id === 1)).toMatchObject({ response: 'paid' });
    await peer.settle();
    expect(peer.received).toEqual([]);
  });

  it('fails the question when it is an error frame', async () => {
    const peer = await start();
    const answer = running.clients.getClient(peer)?.request('quiz', 'question');
    const { id } = await peer.next('quiz', 'question');
    peer.sendRaw(`{"type":"error","action":"message","id":${id},"data":{"details":${nested(40)}}}`);
    await expect(answer).rejects.toMatchObject({ code: 'BAD_FRAME' });
    release();
  });

  it('fails the question at once when it is longer than a message may be, before its socket is cut', async () => {
    isReleased = Promise.resolve();
    running = await startApp({ providers: [Pay] });
    const peer = await RawPeer.open(running.port); // it doesn't answer our close frame
    const [client] = running.clients.getClients();
    const answer = client?.request('quiz', 'question', null, { timeoutMs: 60_000 });
    await peer.until(() => peer.messages.some(({ type }) => type === 'quiz'));
    peer.write(Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0])); // 64 KiB and a byte will follow
    await expect(answer).rejects.toMatchObject({ name: 'ConnectionError' });
    expect(peer.isClosed).toBe(false);
    await peer.closed;
  });

  it('that nobody waits for is refused without its id, and counts as a bad frame', async () => {
    const peer = await start();
    const answer = `{"type":"quiz","action":"question","id":1,"response":${nested(40)}}`;
    for (let n = 0; n < 2; n++) {
      peer.sendRaw(answer);
      const { data, id } = await peer.error();
      expect([data.code, id]).toEqual(['BAD_FRAME', undefined]);
    }
    expect((await peer.closed).code).toBe(4004);
    release();
  });

  it('is told apart from a bad request with the same id', async () => {
    const peer = await start();
    const answer = running.clients.getClient(peer)?.request('quiz', 'question');
    const { id } = await peer.next('quiz', 'question');
    peer.sendRaw(`{"type":"pay","action":"order","id":${id},"data":${nested(40)}}`);
    expect(await peer.error()).toMatchObject({ id, data: { code: 'BAD_FRAME' } });
    peer.sendRaw(`{"type":"quiz","action":"question","id":${id},"response":"yes"}`);
    expect(await answer).toBe('yes');
    release();
  });

  it('is a binary frame that is no UTF-8: that closes the socket while it is asked, too', async () => {
    const peer = await start();
    const answer = running.clients.getClient(peer)?.request('quiz', 'question');
    answer?.catch(() => undefined);
    await peer.next('quiz', 'question');
    peer.sendRaw(Buffer.from([0xff, 0xfe]));
    expect((await peer.closed).code).toBe(1007);
    await expect(answer).rejects.toMatchObject({ code: 'CONNECTION' });
    release();
  });
});
