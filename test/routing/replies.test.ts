import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import type { WebSocket } from 'ws';
import { WsGateway, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { ChildApp } from '../support/child.js';
import { Peer } from '../support/peer.js';
import { RawPeer } from '../support/raw-peer.js';
import { Stopwatch } from '../support/stopwatch.js';

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
    const watch = new Stopwatch();
    expect((await peer.request('job', 'never')).data).toMatchObject({ code: 'TIMEOUT' });
    const took = Date.now() - begin;
    expect(took).toBeGreaterThanOrEqual(TIMEOUT_MS - 5);
    expect(watch.ms).toBeLessThan(TIMEOUT_MS + 1_000);
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

/** What is thrown, and what the peer hears of it. */
const ODD: [what: string, code: string, error: unknown][] = [
  ['error', INTERNAL.code, INTERNAL.error],
  ['null', INTERNAL.code, INTERNAL.error],
  ['undefined', INTERNAL.code, INTERNAL.error],
  ['text', INTERNAL.code, INTERNAL.error],
  ['symbol', INTERNAL.code, INTERNAL.error],
  ['bare', INTERNAL.code, INTERNAL.error],
  ['ws-null', 'BAD_REQUEST', expect.any(String)],
  ['http-null', 'BAD_REQUEST', expect.any(String)],
  ['http-broken', INTERNAL.code, INTERNAL.error],
  ['cyclic', 'ODD', 'Odd.'],
  ['revoked', INTERNAL.code, INTERNAL.error],
  ['no-prototype', INTERNAL.code, INTERNAL.error],
  ['message-getter', INTERNAL.code, INTERNAL.error],
  ['stack-getter', INTERNAL.code, INTERNAL.error],
  ['symbol-message', INTERNAL.code, INTERNAL.error],
  ['peer-symbol', INTERNAL.code, INTERNAL.error],
  ['peer-code', 'constructor', 'Odd.'],
];

describe.each(['plain', 'no-on-error'] as const)(
  'R3: whatever a handler throws, the process lives and answers (%s):',
  (scenario) => {
    let app: ChildApp;
    beforeAll(async () => {
      app = await ChildApp.start(scenario);
    });
    afterAll(() => app.stop());

    it.each(ODD)('%s', async (what, code, error) => {
      const peer = await app.connect();
      for (const action of ['throw', 'throw-by-filter']) {
        for (const isLate of [false, true]) {
          const { data } = await peer.request('test', action, { what, isLate });
          expect(data).toEqual({ code, error, type: 'test', action });
        }
      }
      await app.stats();
    });

    it.each(['value', 'once', 'stream', 'thenable'])('and what it returns: %s', async (how) => {
      const peer = await app.connect();
      const { data } = await peer.request('test', 'return-odd', { how });
      expect(data).toEqual({ ...INTERNAL, type: 'test', action: 'return-odd' });
      await app.stats();
    });
  },
);

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

  it('odd-callbacks', async () => {
    const app = await ChildApp.start('odd-callbacks');
    try {
      for (const [what, code] of ODD) {
        const refused = await Peer.open(`${app.url}?what=${what}`, { isRaw: true });
        expect((await refused.closed).code).toBe(code === 'BAD_REQUEST' ? 1008 : 1011);
        const peer = await app.connect();
        expect((await peer.request('test', 'echo', { what })).response).toEqual({ what });
        peer.ws.close(1000, what);
        await peer.closed;
      }
      await app.untilStats(({ clients }) => clients === 0);
    } finally {
      await app.stop();
    }
  });
});

describe('R3: whatever is thrown before there is a socket, the process lives and refuses:', () => {
  let app: ChildApp;
  beforeAll(async () => {
    app = await ChildApp.start('odd-handshake');
  });
  afterAll(() => app.stop());

  it.each(ODD)('%s', async (what, code, error) => {
    for (const where of ['auth', 'guard']) {
      const { answer } = await RawPeer.handshake(app.port, { path: `/ws?${where}=${what}` });
      expect([where, answer?.status]).toEqual([where, code === INTERNAL.code ? 500 : 400]);
      expect(JSON.parse(answer?.body ?? '')).toEqual({ code, error });
    }
    await (await app.connect()).settle();
  });
});
