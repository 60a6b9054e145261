import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Queue } from 'bullmq';
import { PREFIX, QUEUE } from '../../sample/05-queue/queue.js';
import { type Frame, Peer } from '../support/peer.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { type RunningSample, startSample } from './start-sample.js';

const isReady = hasRedis();
const suite = isReady ? describe : describe.skip;
const why = isReady ? '' : ' (skipped: there is no redis-server; apt-get install redis-server)';

suite(`the queue sample${why}`, () => {
  let redis: TestRedis;
  let sample: RunningSample;
  const peers: Peer[] = [];

  beforeAll(async () => {
    redis = await TestRedis.start();
    sample = await startSample('05-queue', { REDIS_URL: redis.url });
  });
  afterAll(async () => {
    for (const peer of peers) peer.terminate();
    await sample?.stop();
    await redis?.stop();
  });

  /** The cookie that a browser gets with the page. */
  async function newUser(): Promise<string> {
    const response = await fetch(sample.url);
    return (response.headers.get('set-cookie') ?? '').split(';')[0] as string;
  }

  async function connect(cookie: string): Promise<Peer> {
    const peer = await Peer.open(`${sample.url.replace('http', 'ws')}/ws`, { headers: { cookie } });
    peers.push(peer);
    return peer;
  }

  const start = async (peer: Peer, limit: number, mustFail = false): Promise<Frame> =>
    (await peer.request('primes', 'start', { limit, mustFail })).response;

  const about = (peer: Peer, action?: string): Frame[] =>
    peer.received.filter((frame) => frame.type === 'primes' && (!action || frame.action === action));

  it('lets nobody connect who has no cookie of the page', async () => {
    await expect(Peer.open(`${sample.url.replace('http', 'ws')}/ws`)).rejects.toThrow('401');
    expect((await fetch(sample.url)).headers.get('set-cookie')).toMatch(/; HttpOnly; SameSite=Strict/);
  });

  it('tells progress and completion to every connection of the user who started the job, once, and to nobody else', async () => {
    const cookie = await newUser();
    const [tab, otherTab, stranger] = [await connect(cookie), await connect(cookie), await connect(await newUser())];

    const { jobId } = await start(tab, 100_000);
    for (const peer of [tab, otherTab]) {
      const { data } = await peer.next('primes', 'completed');
      expect(data).toEqual({ jobId, limit: 100_000, state: 'completed', percent: 100, found: 9_592 });
      await peer.settle();
      const percents = about(peer, 'progress').map((frame) => frame.data.percent);
      expect(percents.filter((percent) => percent > 0)).toEqual(
        Array.from({ length: 20 }, (_, index) => 5 * (index + 1)),
      );
      expect(about(peer, 'completed')).toEqual([]);
    }
    await stranger.settle();
    expect(about(stranger)).toEqual([]);
    expect((await stranger.request('primes', 'list')).response).toEqual([]);
    expect((await tab.request('primes', 'list')).response).toMatchObject([{ jobId, state: 'completed', found: 9_592 }]);
  });

  it('tells the error of a failed job to its user alone', async () => {
    const [ada, bob] = [await connect(await newUser()), await connect(await newUser())];
    const { jobId } = await start(ada, 50_000, true);
    const { data } = await ada.next('primes', 'failed');
    expect(data).toMatchObject({
      jobId,
      state: 'failed',
      percent: 50,
      error: 'It was told to fail halfway, and did.',
    });
    await Promise.all([ada.settle(), bob.settle()]);
    expect(about(ada, 'completed')).toEqual([]);
    expect(about(bob)).toEqual([]);
    expect((await ada.request('primes', 'list')).response).toMatchObject([
      { jobId, state: 'failed', error: data.error },
    ]);
  });

  it('refuses limits that are none, and a sixth job at a time', async () => {
    const ada = await connect(await newUser());
    for (const limit of [1, 2.5, 1e10, '100', null]) {
      const refusal = await ada.request('primes', 'start', { limit, mustFail: false });
      expect(refusal).toMatchObject({ type: 'error', data: { code: 'VALIDATION_FAILED' } });
    }
    const queue = new Queue(QUEUE, { connection: { url: redis.url }, prefix: `${PREFIX}-bull` });
    try {
      await queue.pause(); // none of them ends before there are six
      for (let count = 0; count < 5; count++) await start(ada, 100_000);
      const sixth = await ada.request('primes', 'start', { limit: 100, mustFail: false });
      expect(sixth).toMatchObject({ type: 'error', data: { code: 'TOO_MANY_JOBS' } });
      await queue.resume();
    } finally {
      await queue.close();
    }
    for (let count = 0; count < 5; count++) await ada.next('primes', 'completed');
  });

  it('finishes a job, and says so, although all connections to Redis were cut meanwhile', async () => {
    const ada = await connect(await newUser());
    const { jobId } = await start(ada, 200_000_000);
    await ada.take(({ action, data }) => action === 'progress' && data.percent >= 10);
    for (const type of ['normal', 'pubsub']) await redis.run('CLIENT', 'KILL', 'TYPE', type);
    const { data } = await ada.take(({ action }) => action === 'completed');
    expect(data).toMatchObject({ jobId, found: 11_078_937 });
    expect(about(ada, 'failed')).toEqual([]);
  });

  it('gives an unfinished job back when it is stopped, and finishes it after its restart', async () => {
    const cookie = await newUser();
    const ada = await connect(cookie);
    const { jobId } = await start(ada, 200_000_000);
    await ada.take(({ action, data }) => action === 'progress' && data.percent > 0);
    expect(await sample.stop()).toEqual({ code: 0, signal: null, isForced: false });
    expect((await ada.closed).code).toBe(1012);
    expect(about(ada, 'failed')).toEqual([]);

    sample = await startSample('05-queue', { REDIS_URL: redis.url });
    const again = await connect(cookie);
    // The worker may be done before anybody is connected: then the list says so.
    const [listed] = (await again.request('primes', 'list')).response;
    const { data } =
      listed.state === 'completed' ? { data: listed } : await again.take(({ action }) => action === 'completed');
    expect(data).toMatchObject({ jobId, state: 'completed', found: 11_078_937 });
  });
});
