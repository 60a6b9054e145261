import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { MessageBody } from '@nestjs/websockets';
import { type MessageTooLargeError, type WebSocketClient, type WebSocketOptions, WsRoute } from '../../lib/index.js';
import { startApp } from '../support/app.js';
import type { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';
import { cleanUp, connectThroughProxy, onCleanUp } from './support.js';

afterEach(cleanUp);

@Injectable()
class Counter {
  readonly runs: unknown[] = [];

  @WsRoute('counter', 'add', { idempotent: true })
  async add(@MessageBody() n: unknown): Promise<unknown> {
    this.runs.push(n);
    await new Promise(setImmediate);
    return n;
  }

  @WsRoute('counter', 'late', { idempotent: true })
  async late(@MessageBody() n: number): Promise<unknown> {
    await new Promise((resolve) => setTimeout(resolve, 150));
    return this.add(n);
  }
}

async function start(
  options: WebSocketOptions = {},
): Promise<{ client: WebSocketClient; counter: Counter; proxy: TcpProxy; errors: Error[] }> {
  const running = await startApp({ providers: [Counter], options });
  onCleanUp(() => running.close());
  const { client, proxy } = await connectThroughProxy(running.port);
  // What was sent for the first time just after the start may be in doubt.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  return { client, counter: running.app.get(Counter), proxy, errors: running.errors };
}

describe('a request with a key on a connection that breaks', () => {
  it.each(['up', 'down'] as const)(
    'C4: C5: is handled once and answered once, after whichever byte (%s)',
    async (direction) => {
      const { client, counter, proxy, errors } = await start();
      let cuts = 0;
      for (let bytes = 0; ; bytes++) {
        await until(() => client.state === 'open');
        let wasCut = false;
        void proxy.cutAfter(bytes, direction).then(() => (wasCut = true));
        expect(await client.request('counter', 'add', bytes, { retry: true })).toBe(bytes);
        proxy.cutNoMore();
        await new Promise(setImmediate);
        if (!wasCut) break;
        cuts++;
      }
      expect(cuts).toBeGreaterThan(50); // the whole frame
      expect(counter.runs).toEqual(Array.from({ length: cuts + 1 }, (_, n) => n));
      expect(errors).toEqual([]);
    },
  );

  it('C4: is too large for the first try, or fits each time', async () => {
    const maxPayload = 1024;
    const { client, counter, proxy } = await start({ messages: { maxPayload } });
    const fitted: number[] = [];
    const outcomes = new Set<string>();
    for (let length = maxPayload - 250; length < maxPayload; length++) {
      await until(() => client.state === 'open');
      void proxy.cutAfter(0, 'down'); // after the handler has run
      const data = 'x'.repeat(length);
      outcomes.add(
        await client.request('counter', 'add', data, { retry: true }).then(
          () => {
            fitted.push(length);
            return 'answered';
          },
          ({ code }: MessageTooLargeError) => code,
        ),
      );
      proxy.cutNoMore();
    }
    expect([...outcomes]).toEqual(['answered', 'MESSAGE_TOO_LARGE']);
    expect(counter.runs.map((data) => (data as string).length)).toEqual(fitted);
    expect(fitted.length).toBeGreaterThan(10);
  });

  it('C6: keeps its place among others, however often the connection breaks', async () => {
    const { client, counter, proxy } = await start();
    const numbers = Array.from({ length: 60 }, (_, n) => n);
    const isOver = new AbortController();
    const breaking = (async () => {
      while (!isOver.signal.aborted) {
        await until(() => isOver.signal.aborted || client.state === 'open');
        proxy.reset();
        await new Promise((resolve) => setTimeout(resolve, 15));
      }
    })();
    const replies = await Promise.all(numbers.map((n) => client.request('counter', 'add', n, { retry: true })));
    isOver.abort();
    await breaking;
    expect(replies).toEqual(numbers);
    expect(counter.runs).toEqual(numbers);
  });

  it('C6: is sent at the pace that the server allows, and is never closed for it', async () => {
    const { client, counter, proxy } = await start({ limits: { messages: { perSecond: 50, burst: 20 } } });
    const closed: number[] = [];
    const lost = new Promise<void>((resolve) =>
      client.on('disconnected', ({ code }) => {
        closed.push(code);
        resolve();
      }),
    );
    proxy.reset();
    await lost;
    const numbers = Array.from({ length: 100 }, (_, n) => n);
    const replies = await Promise.all(numbers.map((n) => client.request('counter', 'add', n, { retry: true })));
    expect(replies).toEqual(numbers);
    expect(counter.runs).toEqual(numbers);
    expect(closed).toEqual([1006]);
  });

  it('C6: is never closed for batches that are a little above what the server takes at once', async () => {
    const { client, counter } = await start({ limits: { messages: { perSecond: 60, burst: 60 } } });
    const closed: number[] = [];
    client.on('disconnected', ({ code }) => void closed.push(code));
    const numbers = Array.from({ length: 8 * 65 }, (_, n) => n);
    const replies: Promise<unknown>[] = [];
    for (const n of numbers) {
      if (n > 0 && n % 65 === 0) await new Promise((resolve) => setTimeout(resolve, 1_200));
      replies.push(client.request('counter', 'add', n, { retry: true }));
    }
    expect(await Promise.all(replies)).toEqual(numbers);
    expect(counter.runs).toEqual(numbers);
    expect(closed).toEqual([]);
  });

  it('C4: C5: gets the answer of a server that answers late, on the connection of that time', async () => {
    const { client, counter, proxy } = await start();
    const reply = client.request('counter', 'late', 7, { retry: true });
    for (let n = 0; n < 3; n++) {
      await new Promise((resolve) => setTimeout(resolve, 30));
      proxy.reset();
      await until(() => client.state === 'open');
    }
    expect(await reply).toBe(7);
    expect(counter.runs).toEqual([7]);
  });
});
