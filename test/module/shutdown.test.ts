import { afterEach, describe, expect, it } from '@jest/globals';
import { ChildApp } from '../support/child.js';
import type { Scenario } from '../support/child-main.js';
import { handshakeBytes, RawPeer } from '../support/raw-peer.js';
import { Stopwatch } from '../support/stopwatch.js';
import { until } from '../support/until.js';

/** As `startApp()` sets it. */
const DRAIN_MS = 1_000;
const GRACE_MS = 2_000;

type Crowd = { peers: Awaited<ReturnType<ChildApp['connect']>>[]; raws: RawPeer[] };

describe('L4: the end', () => {
  let app: ChildApp;
  const raws: RawPeer[] = [];
  afterEach(async () => {
    for (const raw of raws.splice(0)) raw.reset();
    await app.stop();
  });

  async function exitWithin(ms: number): Promise<{ code: number | null; signal: string | null; took: number }> {
    const watch = new Stopwatch();
    await until(() => app.exit !== undefined, ms);
    const { code, signal } = await app.exited;
    return { code, signal, took: watch.ms };
  }

  /** One of every kind that could hold the process back. */
  async function gather(scenario: Scenario): Promise<Crowd> {
    app = await ChildApp.start(scenario);
    const options = { headers: { authorization: 'yes' } };
    const peers = await Promise.all([1, 2, 3, 4].map(() => app.connect(options)));
    const [, never, stream] = peers;
    never!.send('test', 'never', undefined, 'n');
    stream!.send('test', 'stream', undefined, 's');
    await stream!.settle();
    raws.push(await RawPeer.open(app.port, { allowHalfOpen: true, headers: { Authorization: 'yes' } }));
    const waiting = await RawPeer.connect(app.port);
    raws.push(waiting);
    waiting.write(handshakeBytes(app.port));
    if (scenario === 'slow-auth') await app.untilStats(({ authenticating }) => authenticating === 6);
    else await waiting.until(() => waiting.answer !== undefined);
    return { peers, raws };
  }

  it.each(['plain', 'slow-auth', 'endless-hooks'] as const)(
    'SIGTERM exits within the drain time plus 2 s, and every client saw 1012 (%s)',
    async (scenario) => {
      const { peers } = await gather(scenario);
      const silent = raws[0] as RawPeer;
      app.process.kill('SIGTERM');
      const { code, signal } = await exitWithin(DRAIN_MS + GRACE_MS);
      expect(code === 0 || signal === 'SIGTERM').toBe(true);
      for (const peer of peers) expect(await peer.closed).toEqual({ code: 1012, reason: 'server restarting' });
      expect(silent.closeCode).toBe(1012);
      expect((await app.exited).stderr).toBe('');
    },
  );

  it('L1: app.close() leaves no timer and no socket, and the process ends by itself', async () => {
    await gather('slow-auth');
    await app.ask('close');
    // The pipes are those of stderr and of this conversation. A closed handle is listed until the loop has turned.
    const { errors } = await app.untilStats(({ resources }) => Object.keys(resources).join() === 'PipeWrap', 500);
    expect(errors).toEqual([]);
    await app.ask('leave');
    expect(await exitWithin(GRACE_MS)).toMatchObject({ code: 0 });
  });

  const expectShuttingDown = ({ answer }: RawPeer): void => {
    expect(answer).toMatchObject({ status: 503, headers: expect.stringMatching(/^Retry-After: 1$/m) });
    expect(JSON.parse(answer?.body ?? '').code).toBe('SHUTTING_DOWN');
  };

  it('a handshake under way is answered 503', async () => {
    await gather('slow-auth');
    const waiting = raws[1] as RawPeer;
    await Promise.all([app.ask('close'), waiting.closed]);
    expectShuttingDown(waiting);
  });

  it.each([
    ['says nothing', ''],
    ['began a request', 'GET /ws HT'],
    ['began its headers', 'GET /ws HTTP/1.1\r\nHost: x\r\n'],
  ])('nor does a peer hold it back that connected and %s', async (_name, text) => {
    app = await ChildApp.start('plain');
    const raw = await RawPeer.connect(app.port);
    raws.push(raw);
    raw.write(text);
    const other = await app.connect({ headers: { authorization: 'yes' } });
    await other.settle(); // by now the server has seen the raw peer, too
    app.process.kill('SIGTERM');
    await exitWithin(DRAIN_MS + GRACE_MS);
  });

  it('a client that connects during the drain gets 503', async () => {
    await gather('plain');
    const [peer] = await Promise.all([app.connect(), app.stats()]);
    const closing = app.ask('close');
    await peer.closed;
    const late = await RawPeer.handshake(app.port);
    expectShuttingDown(late);
    await Promise.all([late.closed, closing]);
  });

  it('without clients it is immediate', async () => {
    app = await ChildApp.start();
    const peer = await app.connect();
    peer.terminate();
    await app.untilStats(({ clients }) => clients === 0);
    app.process.kill('SIGTERM');
    const { took } = await exitWithin(DRAIN_MS);
    expect(took).toBeLessThan(DRAIN_MS);
  });
});
