import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { WebSocket } from 'ws';
import { WsGateway, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { settle } from '../support/manual-clock.js';
import type { Peer } from '../support/peer.js';
import { Stopwatch } from '../support/stopwatch.js';
import { until } from '../support/until.js';

const TIMEOUT_MS = 200;

@WsGateway('job')
class JobGateway {
  readonly done: string[] = [];
  /** Calls that go on once the test says so. */
  readonly held: (() => void)[] = [];

  @WsRoute('late')
  async late() {
    await new Promise<void>((resolve) => this.held.push(resolve));
    this.done.push('late');
    return 'done';
  }

  @WsRoute('late-failure')
  async lateFailure() {
    await new Promise<void>((resolve) => this.held.push(resolve));
    throw new Error('the password is 1234');
  }

  @WsRoute('soon')
  async soon() {
    await settle();
    return 'done';
  }

  @WsRoute('soon-failure')
  async soonFailure() {
    await settle();
    throw new Error('the password is 1234');
  }

  @WsRoute('nothing')
  nothing() {}

  @WsRoute('never')
  never() {
    return new Promise(() => undefined);
  }

  @WsRoute('too-late')
  async tooLate(_ws: WebSocket, _clientId: string, data: { fails: boolean }) {
    await new Promise<void>((resolve) => this.held.push(resolve));
    this.done.push('too-late');
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
    running = await startApp({ providers: [JobGateway] });
    jobs = running.app.get(JobGateway);
    peer = await running.connect();
  });
  afterAll(() => running.close());

  it('R3: replies when the handler has finished, not when it was called', async () => {
    const reply = peer.request('job', 'late');
    await peer.settle();
    await until(() => jobs.held.length === 1);
    await peer.settle();
    expect([peer.received, jobs.done]).toEqual([[], []]);
    jobs.held.shift()?.();
    expect((await reply).response).toBe('done');
    expect(jobs.done).toEqual(['late']);
  });

  it("R3: turns a handler's late rejection into an error frame, and into nothing else", async () => {
    const reply = peer.request('job', 'late-failure');
    await until(() => jobs.held.length === 1);
    await peer.settle();
    jobs.held.shift()?.();
    const { id, ...frame } = await reply;
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

  it('L5: gives each of many requests exactly one answer', async () => {
    const actions = ['soon', 'soon-failure', 'nothing', 'bigint', 'unknown'];
    const asked = Array.from({ length: 30 }, (_, index) => ({
      id: `many${index}`,
      action: actions[index % 5] as string,
    }));
    const before = peer.received.length;
    for (const { id, action } of asked) peer.send('job', action, undefined, id);
    for (const { id } of asked) await peer.take((frame) => frame.id === id);
    await peer.settle();
    expect(peer.received).toHaveLength(before);
  });
});

describe('a handler that takes longer than handlerTimeoutMs', () => {
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

  it('L5: answers TIMEOUT on time for a handler that never returns, and goes on with the next message', async () => {
    const begin = Date.now();
    const watch = new Stopwatch();
    expect((await peer.request('job', 'never')).data).toMatchObject({ code: 'TIMEOUT' });
    const took = Date.now() - begin;
    expect(took).toBeGreaterThanOrEqual(TIMEOUT_MS - 5);
    expect(watch.ms).toBeLessThan(TIMEOUT_MS * 10);
    expect(await peer.request('job', 'nothing')).toMatchObject({ action: 'nothing' });
  });

  it.each([true, false])('L5: says nothing more after a TIMEOUT (the handler fails later: %s)', async (fails) => {
    const answer = await peer.request('job', 'too-late', { fails });
    expect(answer.data).toMatchObject({ code: 'TIMEOUT' });
    jobs.done.length = 0;
    jobs.held.shift()?.();
    await until(() => jobs.done.length === 1);
    await peer.settle();
    expect(peer.received).toEqual([]);
  });

  it('L5: gives each of many requests exactly one answer', async () => {
    const actions = ['soon', 'never', 'soon-failure'];
    const asked = Array.from({ length: 18 }, (_, index) => ({
      id: `many${index}`,
      action: actions[index % 3] as string,
    }));
    for (const { id, action } of asked) peer.send('job', action, undefined, id);
    for (const { id } of asked) await peer.take((frame) => frame.id === id);
    await peer.settle();
    expect(peer.received).toEqual([]);
  });
});
