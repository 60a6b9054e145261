import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import type { WebSocket } from 'ws';
import { WsGateway, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { ChildApp } from '../support/child.js';
import type { Peer } from '../support/peer.js';

const TIMEOUT_MS = 200;

@WsGateway('job')
class JobGateway {
  readonly done: string[] = [];

  @WsRoute('late-failure')
  async lateFailure() {
    await pause(20);
    this.done.push('late-failure');
    throw new Error('the password is 1234');
  }

  @WsRoute('late-success')
  async lateSuccess() {
    await pause(20);
    this.done.push('late-success');
    return 'done';
  }

  @WsRoute('nothing')
  nothing() {}

  @WsRoute('never')
  never() {
    return new Promise(() => undefined);
  }

  @WsRoute('too-late')
  async tooLate(_ws: WebSocket, _clientId: string, data: { fails: boolean }) {
    await pause(TIMEOUT_MS * 2);
    if (data.fails) throw new Error('too late');
    return 'too late';
  }

  @WsRoute('bigint')
  bigint() {
    return { amount: 1n };
  }

  @WsRoute('cycle')
  cycle() {
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    return cycle;
  }

  @WsRoute('throwing-json')
  throwingJson() {
    return {
      toJSON: () => {
        throw new Error('the password is 1234');
      },
    };
  }

  @WsRoute('function')
  function() {
    return () => undefined;
  }
}

const INTERNAL = { code: 'INTERNAL', error: 'Something went wrong on the server.' };

describe('a request gets one answer, after its outcome', () => {
  let running: RunningApp;
  let peer: Peer;
  let jobs: JobGateway;
  beforeAll(async () => {
    running = await startApp({
      providers: [JobGateway],
      options: { messages: { handlerTimeoutMs: TIMEOUT_MS, concurrency: 8 } },
    });
    jobs = running.app.get(JobGateway);
    peer = await running.connect();
  });
  afterAll(() => running.close());

  it('R3: replies when the handler has finished, not when it was called', async () => {
    const reply = peer.request('job', 'late-success');
    await peer.settle();
    expect(jobs.done).not.toContain('late-success');
    expect((await reply).response).toBe('done');
    expect(jobs.done).toContain('late-success');
  });

  it("R3: turns a handler's late rejection into an error frame, and into nothing else", async () => {
    const { id, ...frame } = await peer.request('job', 'late-failure');
    expect(frame).toEqual({
      type: 'error',
      action: 'message',
      data: { ...INTERNAL, type: 'job', action: 'late-failure' },
    });
    expect(running.errors.pop()?.message).toBe('the password is 1234');
    await peer.settle();
    expect(peer.received.filter((frame) => frame.id === id)).toEqual([]);
  });

  it.each(['bigint', 'cycle', 'throwing-json', 'function'])(
    'L5: answers INTERNAL when the result has no JSON form: %s',
    async (action) => {
      const { data } = await peer.request('job', action);
      expect(data).toEqual({ ...INTERNAL, type: 'job', action });
    },
  );

  it('L5: answers null when the handler returned nothing', async () => {
    expect(await peer.request('job', 'nothing')).toMatchObject({ type: 'job', action: 'nothing', response: null });
  });

  it('L5: answers UNKNOWN_ROUTE to a route nobody declared', async () => {
    expect((await peer.request('job', 'unknown')).data).toMatchObject({ code: 'UNKNOWN_ROUTE' });
    expect((await peer.request('system', 'unknown')).data).toMatchObject({ code: 'UNKNOWN_ROUTE' });
    expect((await peer.request('__proto__', 'constructor')).data).toMatchObject({ code: 'UNKNOWN_ROUTE' });
    expect((await peer.request('job', 'toString')).data).toMatchObject({ code: 'UNKNOWN_ROUTE' });
  });

  it('L5: answers TIMEOUT on time for a handler that never returns, and goes on with the next message', async () => {
    const begin = Date.now();
    expect((await peer.request('job', 'never')).data).toMatchObject({ code: 'TIMEOUT' });
    const took = Date.now() - begin;
    expect(took).toBeGreaterThanOrEqual(TIMEOUT_MS - 5);
    expect(took).toBeLessThan(TIMEOUT_MS + 1_000);
    expect((await peer.request('job', 'late-success')).response).toBe('done');
  });

  it.each([true, false])('L5: says nothing more after a TIMEOUT (the handler fails later: %s)', async (fails) => {
    const answer = await peer.request('job', 'too-late', { fails });
    expect(answer.data).toMatchObject({ code: 'TIMEOUT' });
    await pause(TIMEOUT_MS * 2);
    await peer.settle();
    expect(peer.received).toEqual([]);
  });

  it('L5: gives each of many requests exactly one answer', async () => {
    const actions = ['late-success', 'late-failure', 'nothing', 'never', 'bigint', 'unknown'];
    const asked = Array.from({ length: 30 }, (_, index) => ({
      id: `many${index}`,
      action: actions[index % 6] as string,
    }));
    const before = peer.received.length;
    for (const { id, action } of asked) peer.send('job', action, undefined, id);
    for (const { id } of asked) await peer.take((frame) => frame.id === id);
    await peer.settle();
    expect(peer.received).toHaveLength(before);
  });
});

describe('R3: whatever a handler throws, the process lives and answers', () => {
  let app: ChildApp;
  beforeAll(async () => {
    app = await ChildApp.start();
  });
  afterAll(() => app.stop());

  it.each([
    ['error', INTERNAL],
    ['null', INTERNAL],
    ['undefined', INTERNAL],
    ['text', INTERNAL],
    ['symbol', INTERNAL],
    ['bare', INTERNAL],
    ['ws-null', { code: 'BAD_REQUEST', error: expect.any(String) }],
    ['http-null', { code: 'BAD_REQUEST', error: expect.any(String) }],
    ['http-broken', INTERNAL],
    ['cyclic', { code: 'ODD', error: 'Odd.' }],
  ])('%s', async (what, data) => {
    const peer = await app.connect();
    for (const isLate of [false, true]) {
      const answer = await peer.request('test', 'throw', { what, isLate });
      expect(answer.data).toEqual({ ...data, type: 'test', action: 'throw' });
    }
    await app.stats();
  });
});

describe("R3: the application's callbacks may fail as they like:", () => {
  it.each(['failing-callbacks', 'failing-on-error'] as const)('%s', async (scenario) => {
    const app = await ChildApp.start(scenario);
    try {
      const peer = await app.connect();
      expect((await peer.request('test', 'echo', 1)).response).toBe(1);
      peer.terminate();
      const { errors } = await app.untilStats(({ clients }) => clients === 0);
      await app.stats();
      if (scenario === 'failing-callbacks') expect(errors).toContain('Error: onMessage');
    } finally {
      await app.stop();
    }
  });
});
