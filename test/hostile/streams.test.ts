import { once } from 'node:events';
import { afterEach, describe, expect, it } from '@jest/globals';
import { WebSocket } from 'ws';
import { ChildApp } from '../support/child.js';
import { frameBytes, RawPeer } from '../support/raw-peer.js';
import type { Stats } from '../support/child-main.js';

describe.each(['plain', 'compressed'] as const)('R1: a stream whose teardown throws (%s)', (scenario) => {
  let app: ChildApp;
  afterEach(() => app.stop());

  it.each(['cancels it', 'leaves', 'is kicked by its own bad frames'])('survives a peer that %s', async (how) => {
    app = await ChildApp.start(scenario);
    const [peer, bystander] = [await app.connect(), await app.connect()];
    peer.send('test', 'brittle-stream', undefined, 's');
    await peer.take(({ id, more }) => id === 's' && more === true);
    if (how === 'leaves') peer.terminate();
    else if (how === 'cancels it') peer.send('system', 'cancel', undefined, 's');
    else for (let count = 0; count < 10; count++) peer.sendRaw('{');
    if (how === 'cancels it') {
      // The stream ended, in one way or the other: its asker must not wait for ever.
      await peer.take(({ id, done, type }) => id === 's' && (done === true || type === 'error'));
    }
    const { errors } = await app.untilStats((stats) => stats.errors.length > 0);
    expect(errors).toEqual([expect.stringContaining('teardown')]);
    expect((await bystander.request('test', 'echo', 1)).response).toBe(1);
  });
});

describe.each(['plain', 'compressed'] as const)('R1: a stream that always has a next value (%s)', (scenario) => {
  let app: ChildApp;
  afterEach(() => app.stop());

  it.each(['close', 'terminate'] as const)('leaves others their turn, also after %s() of its peer', async (end) => {
    app = await ChildApp.start(scenario);
    const [peer, bystander] = [await app.connect(), await app.connect()];
    peer.send('test', 'endless', undefined, 's');
    await peer.take(({ id, more }) => id === 's' && more === true);
    expect((await bystander.request('test', 'echo', 1)).response).toBe(1);
    peer.ws[end]();
    expect((await bystander.request('test', 'echo', 2)).response).toBe(2);
    await peer.closed;
    expect((await bystander.request('test', 'echo', 3)).response).toBe(3);
  });
});

describe.each([false, true])('R1: a stream to a connection that closes (compressed: %s)', (isCompressed) => {
  let app: ChildApp;
  afterEach(() => app.stop());

  it('asks its source for nothing more, however long the peer takes to end it', async () => {
    app = await ChildApp.start(isCompressed ? 'compressed' : 'plain');
    const peer = await RawPeer.open(app.port, { isCompressed, allowHalfOpen: true });
    peer.send({ type: 'test', action: 'endless', id: 's' });
    await peer.until(() => peer.frames.length > 2);
    peer.write(frameBytes({ opcode: 8 }));
    await peer.until(() => peer.frames.some(({ opcode }) => opcode === 8));
    const bystander = await app.connect();
    expect((await bystander.request('test', 'echo', 1)).response).toBe(1);
    const { produced } = await app.stats();
    expect((await bystander.request('test', 'echo', 2)).response).toBe(2);
    expect((await app.stats()).produced).toBe(produced);
    peer.reset();
  });
});

describe('L3: a stream that goes on and on', () => {
  let app: ChildApp;
  afterEach(() => app.stop());

  it('keeps nothing of what it has sent', async () => {
    app = await ChildApp.start();
    const reader = new WebSocket(`ws://127.0.0.1:${app.port}/ws`, { perMessageDeflate: false });
    await once(reader, 'open');
    reader.send(JSON.stringify({ type: 'test', action: 'endless', id: 's' }));
    const heapAfter = async (count: number): Promise<number> => {
      await app.untilStats(({ produced }) => produced > count);
      return ((await app.ask('collect')).stats as Stats).heapUsed;
    };
    // 570 bytes a value were kept once, 25 MB. A few MB is what a process that runs on compiles and buffers.
    const before = await heapAfter(20_000);
    expect((await heapAfter(65_000)) - before).toBeLessThan(8_000_000);
    reader.terminate();
  });
});
