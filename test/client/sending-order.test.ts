import { EventEmitter, once } from 'node:events';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { MessageBody } from '@nestjs/websockets';
import fc from 'fast-check';
import { PeerError, type WebSocketClient, type WebSocketOptions, WsRoute } from '../../lib/index.js';
import { startApp } from '../support/app.js';
import { Peer } from '../support/peer.js';
import type { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';
import { cleanUp, connectThroughProxy, onCleanUp } from './support.js';

afterEach(cleanUp);

const RETRY = { retry: true } as const;

@Injectable()
class Ledger {
  /** In the order in which they were handled. */
  lines: number[] = [];
  /** So many tries of a number are refused, as a guard of the application would. */
  readonly busy = new Map<number, number>();
  refusal = new PeerError('RATE_LIMITED', 'Busy.', { retryAfterMs: 20 });
  marks = 0;

  @WsRoute('ledger', 'mark')
  mark(): void {
    this.marks++;
  }

  @WsRoute('ledger', 'add', { idempotent: true })
  async add(@MessageBody() n: number): Promise<number> {
    await new Promise(setImmediate);
    const tries = this.busy.get(n) ?? 0;
    this.busy.set(n, tries - 1);
    if (tries > 0) throw this.refusal;
    this.lines.push(n);
    return n;
  }

  readonly #open = new EventEmitter();

  /** Until `open()`. */
  @WsRoute('ledger', 'wait', { idempotent: true })
  async wait(@MessageBody() n: number): Promise<number> {
    this.lines.push(n);
    await once(this.#open, 'open');
    return n;
  }

  open(): void {
    this.#open.emit('open');
  }

  @WsRoute('ledger', 'slow', { idempotent: true })
  async slow(@MessageBody() n: number): Promise<number> {
    await new Promise((resolve) => setTimeout(resolve, 100));
    return this.add(n);
  }
}

interface Running {
  url: string;
  client: WebSocketClient;
  ledger: Ledger;
  proxy: TcpProxy;
}

async function start(
  limits: WebSocketOptions['limits'] = {},
  messages: WebSocketOptions['messages'] = {},
): Promise<Running> {
  const running = await startApp({ providers: [Ledger], options: { limits, messages } });
  onCleanUp(() => running.close());
  const { client, proxy } = await connectThroughProxy(running.port);
  return { url: running.url, client, ledger: running.app.get(Ledger), proxy };
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

/** The rate is low, but no number of refusals closes the connection. */
const rate = (perSecond: number, burst: number): WebSocketOptions['limits'] => ({
  messages: { perSecond, burst, strikes: 1_000 },
});

/** What was sent for the first time just after the start may be in doubt. */
const pastTheStart = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1_000));

describe('requests under way when one of them is refused because of the rate', () => {
  it('C6: are handled in the order in which they were sent', async () => {
    const { client, ledger } = await start(rate(40, 4));
    const replies = await Promise.all(numbers(20).map((n) => client.request('ledger', 'add', n, RETRY)));
    expect(replies).toEqual(numbers(20));
    expect(ledger.lines).toEqual(numbers(20));
  });

  it('C6: keep their order when the rate allows one of the later ones', async () => {
    const { client, ledger } = await start(rate(20, 3));
    const replies: Promise<unknown>[] = [];
    // The next comes when there is room for it, and before its client has heard that an earlier one was refused.
    for (const n of numbers(12)) {
      replies.push(client.request('ledger', 'add', n, RETRY));
      await new Promise((resolve) => setTimeout(resolve, 15));
    }
    expect(await Promise.all(replies)).toEqual(numbers(12));
    expect(ledger.lines).toEqual(numbers(12));
  });

  it('C6: keep their order on a link that is slower than the server asks to wait', async () => {
    const { client, ledger, proxy } = await start(rate(100, 3));
    proxy.delay(80);
    const replies: Promise<unknown>[] = [];
    for (const n of numbers(24)) {
      replies.push(client.request('ledger', 'add', n, RETRY));
      await new Promise((resolve) => setTimeout(resolve, 4));
    }
    expect(await Promise.all(replies)).toEqual(numbers(24));
    expect(ledger.lines).toEqual(numbers(24));
  });

  it('C6: keep their order when a handler refuses, and later ones wait for their turn already', async () => {
    const { client, ledger } = await start();
    ledger.busy.set(1, 2).set(4, 1);
    const replies = numbers(8).map((n) => client.request('ledger', 'add', n, RETRY));
    expect(await Promise.all(replies)).toEqual(numbers(8));
    expect(ledger.lines).toEqual(numbers(8));
  });

  it('C6: keep their order when the rate and a handler refuse at once', async () => {
    const { client, ledger } = await start(rate(40, 4));
    ledger.busy.set(1, 1);
    const replies = numbers(6).map((n) => client.request('ledger', n === 0 ? 'slow' : 'add', n, RETRY));
    expect(await Promise.all(replies)).toEqual(numbers(6));
    expect(ledger.lines).toEqual(numbers(6));
  });

  it('C6: keep their order when one was not handled, and the answer that says so was lost', async () => {
    const { client, ledger, proxy } = await start();
    await pastTheStart();
    ledger.refusal = new PeerError('UNAVAILABLE', 'Not now.');
    ledger.busy.set(0, 1);
    proxy.hold('down');
    const replies = numbers(3).map((n) => client.request('ledger', 'add', n, RETRY));
    client.sendMessage({ type: 'ledger', action: 'mark' });
    await until(() => ledger.marks === 1);
    proxy.reset();
    proxy.heal();
    expect(await Promise.all(replies)).toEqual(numbers(3));
    expect(ledger.lines).toEqual(numbers(3));
  });

  it('C6: keep their order when one waited too long for its turn, and the answer that says so was lost', async () => {
    const { client, ledger, proxy } = await start({}, { handlerTimeoutMs: 200 });
    await pastTheStart();
    proxy.hold('down');
    const replies = numbers(3).map((n) => client.request('ledger', n === 0 ? 'wait' : 'add', n, RETRY));
    client.sendMessage({ type: 'ledger', action: 'mark' });
    await until(() => ledger.marks === 1); // its turn comes when the time of those before is over
    replies.push(client.request('ledger', 'add', 3, RETRY));
    client.sendMessage({ type: 'ledger', action: 'mark' });
    await until(() => ledger.marks === 2);
    ledger.open();
    proxy.reset();
    proxy.heal();
    expect(await Promise.all(replies)).toEqual(numbers(4));
    expect(ledger.lines).toEqual(numbers(4));
  });

  it('C6: go on, in order, behind one that its server refuses for now', async () => {
    const { client, ledger } = await start();
    ledger.refusal = new PeerError('UNAVAILABLE', 'Not now.');
    ledger.busy.set(1, 1);
    const replies = numbers(4).map((n) => client.request('ledger', 'add', n, RETRY));
    const outcomes = await Promise.allSettled(replies);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
    expect(ledger.lines).toEqual([0, 2, 3]);
  });

  it('are sent again without the one that its caller gave up', async () => {
    const { client, ledger } = await start();
    ledger.busy.set(1, 1_000);
    const abort = new AbortController();
    const replies = numbers(4).map((n) =>
      client.request('ledger', 'add', n, { ...RETRY, ...(n === 1 && { signal: abort.signal }) }),
    );
    const outcomes = Promise.allSettled(replies);
    await until(() => (ledger.busy.get(1) as number) < 998);
    abort.abort(new Error('given up'));
    expect((await outcomes).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
    expect(ledger.lines).toEqual([0, 2, 3]);
  });

  it('C4: C5: C6: keep their order at any rate, on any link, whenever it breaks', async () => {
    const { client, ledger, proxy } = await start(rate(60, 5));
    await pastTheStart();
    const plan = fc.record({
      pauses: fc.array(fc.integer({ min: 0, max: 25 }), { minLength: 6, maxLength: 24 }),
      delayMs: fc.integer({ min: 0, max: 30 }),
      cuts: fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 2 }),
      busy: fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 3 }),
    });
    let first = 0;
    const run = fc.asyncProperty(plan, async ({ pauses, delayMs, cuts, busy }) => {
      proxy.heal();
      await until(() => client.state === 'open');
      if (delayMs > 0) proxy.delay(delayMs);
      ledger.lines = [];
      const base = (first += 100);
      for (const n of busy) ledger.busy.set(base + n, 1);
      let settled = 0;
      const replies: Promise<unknown>[] = [];
      for (const [n, pauseMs] of pauses.entries()) {
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
        if (cuts.includes(n)) proxy.reset();
        replies.push(client.request('ledger', 'add', base + n, RETRY).finally(() => settled++));
      }
      const expected = pauses.map((_, n) => base + n);
      expect(await Promise.all(replies)).toEqual(expected);
      expect(ledger.lines).toEqual(expected);
      expect(settled).toBe(pauses.length);
    });
    await fc.assert(run, { numRuns: 12, endOnFailure: true }); // prints its seed when it fails
  });
});

describe('a program that numbers its rounds', () => {
  const add = (peer: Peer, n: number, round: unknown, data: unknown = n): void =>
    peer.sendRaw(JSON.stringify({ type: 'ledger', action: 'add', data, id: n, round }));
  const answers = async (peer: Peer, count: number): Promise<unknown[]> => {
    const outcomes: unknown[] = [];
    for (const n of numbers(count)) {
      const { response, data } = await peer.take(({ id }) => id === n);
      outcomes.push(data ? [data.code, data.details?.retryAfterMs > 0] : response);
    }
    return outcomes;
  };

  it('is refused for the rest of a round, and for no other', async () => {
    const { url, ledger } = await start();
    ledger.busy.set(1, 1).set(6, 1);
    const peer = await Peer.open(url);
    onCleanUp(() => peer.terminate());
    for (const [n, round] of [1, 1, 1, 0, undefined, undefined, 2, 3].entries()) add(peer, n, round);
    const behind = ['RATE_LIMITED', false];
    expect(await answers(peer, 8)).toEqual([
      0,
      ['RATE_LIMITED', true],
      behind,
      behind,
      4,
      5,
      ['RATE_LIMITED', true],
      7,
    ]);
  });

  it('is refused for the rest of a round in which a request took too long', async () => {
    const { url, ledger } = await start({}, { handlerTimeoutMs: 200 });
    const peer = await Peer.open(url);
    onCleanUp(() => peer.terminate());
    peer.sendRaw(JSON.stringify({ type: 'ledger', action: 'wait', data: 0, id: 0, round: 0 }));
    add(peer, 1, 0);
    const late = ['TIMEOUT', false];
    expect(await answers(peer, 2)).toEqual([late, late]);
    add(peer, 0, 0);
    add(peer, 1, 1);
    expect(await answers(peer, 2)).toEqual([['RATE_LIMITED', false], 1]);
    ledger.open();
  });

  it('is refused for the rest of a round after its rate, however deep its data is', async () => {
    const { url } = await start({ messages: { perSecond: 5, burst: 2 } }, { maxDepth: 100 });
    const peer = await Peer.open(url);
    onCleanUp(() => peer.terminate());
    const deep = JSON.parse('['.repeat(50) + ']'.repeat(50)) as unknown;
    for (const n of numbers(3)) add(peer, n, 0, n === 2 ? deep : n);
    expect(await answers(peer, 3)).toEqual([0, 1, ['RATE_LIMITED', true]]);
    await new Promise((resolve) => setTimeout(resolve, 400)); // the rate allows the next ones
    add(peer, 0, 0);
    add(peer, 1, 1);
    expect(await answers(peer, 2)).toEqual([['RATE_LIMITED', false], 1]);
  });
});

describe('a program that sends keys, and knows nothing of rounds', () => {
  it('is refused for its rate only, whatever was refused before', async () => {
    const { url, ledger } = await start({ messages: { perSecond: 1_000, burst: 1_000 } });
    ledger.busy.set(1, 1);
    const peer = await Peer.open(url);
    onCleanUp(() => peer.terminate());
    peer.send('system', 'session', { session: 'a-session-of-a-program' });
    for (const n of numbers(4))
      peer.sendRaw(JSON.stringify({ type: 'ledger', action: 'add', data: n, id: n, key: `key-${n}` }));
    await until(() => ledger.lines.length === 3);
    expect(ledger.lines).toEqual([0, 2, 3]);
  });
});
