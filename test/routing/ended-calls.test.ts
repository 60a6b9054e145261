import { EventEmitter, on } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type CallHandler, type ExecutionContext, type NestInterceptor, UseInterceptors } from '@nestjs/common';
import { Observable } from 'rxjs';
import { ClientId, type MessageOptions, StreamSignal, WsGateway, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Frame, Peer } from '../support/peer.js';
import { until } from '../support/until.js';

let isReleased: Promise<void>;
let release: () => void;
let subscriptions: number;
let running: number;
let calls: string[];
let signals: AbortSignal[];
const bell = new EventEmitter().setMaxListeners(0);

class PassOn implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle();
  }
}

const counted = (): Observable<number> =>
  new Observable((subscriber) => {
    subscriptions++;
    subscriber.next(1);
  });

async function* counting(): AsyncGenerator<number> {
  subscriptions++;
  yield 1;
  await new Promise(() => undefined);
}

@WsGateway('work')
class Work {
  @WsRoute('block')
  block(): Promise<void> {
    return isReleased;
  }

  @WsRoute('observable')
  async observable(): Promise<Observable<number>> {
    calls.push('observable');
    await isReleased;
    return counted();
  }

  @WsRoute('generator')
  async generator(): Promise<AsyncIterable<number>> {
    calls.push('generator');
    await isReleased;
    return counting();
  }

  @UseInterceptors(PassOn)
  @WsRoute('intercepted-observable')
  async interceptedObservable(): Promise<Observable<number>> {
    return this.observable();
  }

  @UseInterceptors(PassOn)
  @WsRoute('intercepted-generator')
  async interceptedGenerator(): Promise<AsyncIterable<number>> {
    return this.generator();
  }

  @WsRoute('value')
  async value(): Promise<string> {
    calls.push('value');
    await isReleased;
    return 'value';
  }

  @WsRoute('bell')
  async *bell(): AsyncGenerator {
    running++;
    try {
      for await (const [value] of on(bell, 'ring') as AsyncIterable<unknown[]>) yield value;
    } finally {
      running--;
    }
  }

  @WsRoute('signalled-bell')
  async *signalledBell(@StreamSignal() signal: AbortSignal): AsyncGenerator {
    running++;
    signals.push(signal);
    try {
      for await (const [value] of on(bell, 'ring', { signal }) as AsyncIterable<unknown[]>) yield value;
    } finally {
      running--;
    }
  }

  @WsRoute('sleep')
  async sleep(@StreamSignal() signal: AbortSignal, @ClientId() clientId: string): Promise<string> {
    signals.push(signal);
    await sleep(60_000, undefined, { signal });
    return clientId;
  }

  @UseInterceptors(PassOn)
  @WsRoute('intercepted-sleep')
  interceptedSleep(@StreamSignal() signal: AbortSignal): Promise<string> {
    return this.sleep(signal, '');
  }

  @WsRoute('quick')
  quick(@StreamSignal() signal: AbortSignal): number {
    signals.push(signal);
    return 1;
  }
}

let app: RunningApp;
let peer: Peer;
async function start(messages: MessageOptions = {}): Promise<void> {
  app = await startApp({ providers: [Work], options: { messages: { maxStreams: 3, ...messages } } });
  peer = await app.connect();
}
beforeEach(async () => {
  isReleased = new Promise((resolve) => (release = resolve));
  [subscriptions, running, calls, signals] = [0, 0, [], []];
  await start();
});
afterEach(async () => {
  await app.close();
  bell.emit('ring');
});

const cancel = (id: string): void => peer.send('system', 'cancel', undefined, id);
const answerTo = (id: string): Promise<Frame> => peer.take((frame) => frame.id === id);

/** Whatever else the server has to say about them has arrived. */
const expectNoMore = async (): Promise<void> => {
  release();
  await peer.settle();
  await peer.request('work', 'quick');
  expect(peer.received).toEqual([]);
  expect(app.errors).toEqual([]);
};

describe('a request that is cancelled', () => {
  it('while it waits for its turn is answered once and never handled', async () => {
    peer.send('work', 'block', null, 'b');
    peer.send('work', 'observable', null, 's');
    cancel('s');
    expect(await answerTo('s')).toMatchObject({ type: 'error', data: { code: 'CANCELLED' } });
    release();
    await answerTo('b');
    await expectNoMore();
    expect(calls).toEqual([]);
  });

  it.each(['observable', 'generator', 'intercepted-observable', 'intercepted-generator'])(
    'while its handler runs is done, and its stream never subscribed: %s',
    async (action) => {
      peer.send('work', action, null, 's');
      await until(() => calls.length === 1);
      cancel('s');
      await peer.settle();
      release();
      expect(await answerTo('s')).toEqual({ type: 'work', action, id: 's', done: true });
      await expectNoMore();
      expect(subscriptions).toBe(0);
    },
  );

  it('while its handler runs still has its answer, where that is no stream', async () => {
    peer.send('work', 'value', null, 's');
    cancel('s');
    release();
    expect((await answerTo('s')).response).toBe('value');
    await expectNoMore();
  });

  it.each(['sleep', 'intercepted-sleep'])('is over where its handler heeds the signal: %s', async (action) => {
    peer.send('work', action, null, 's');
    await until(() => signals.length === 1);
    cancel('s');
    cancel('s');
    expect((await answerTo('s')).data).toMatchObject({ code: 'CANCELLED' });
    expect(signals[0]?.reason).toMatchObject({ code: 'CANCELLED' });
    await expectNoMore();
  });

  it('again, or with an unknown id, does nothing', async () => {
    for (const id of ['x', 'y', 'x']) cancel(id);
    await expectNoMore();
  });
});

describe('the signal of a call', () => {
  it('is aborted when the time is over', async () => {
    await app.close();
    await start({ handlerTimeoutMs: 200 });
    peer.send('work', 'sleep', null, 's');
    expect((await answerTo('s')).data.code).toBe('TIMEOUT');
    await until(() => signals[0]?.aborted === true);
    expect(signals[0]?.reason).toMatchObject({ code: 'TIMEOUT' });
    await expectNoMore();
  });

  it.each(['sleep', 'signalled-bell'])('is aborted when the client leaves: %s', async (action) => {
    peer.send('work', action, null, 's');
    await until(() => signals.length === 1);
    peer.terminate();
    await until(() => signals[0]?.aborted === true && running === 0);
    expect(signals[0]?.reason).toMatchObject({ code: 'CONNECTION' });
    expect(app.errors).toEqual([]);
  });

  it('is not aborted by an answer', async () => {
    expect((await peer.request('work', 'quick')).response).toBe(1);
    peer.terminate();
    await until(() => app.clients.size === 0);
    expect(signals[0]?.aborted).toBe(false);
  });
});

describe('streams that are cancelled', () => {
  it('count until their generator has ended', async () => {
    for (const id of ['1', '2', '3']) {
      peer.send('work', 'bell', null, id);
      await until(() => running === Number(id));
      cancel(id);
      expect((await answerTo(id)).done).toBe(true);
    }
    expect((await peer.request('work', 'bell')).data.code).toBe('STREAM_LIMIT');
    expect(running).toBe(3);
    bell.emit('ring', 'at last');
    await until(() => running === 0);
    peer.send('work', 'bell', null, '4');
    await until(() => running === 1);
    await expectNoMore();
  });

  it('count no longer where their generator heeds the signal', async () => {
    for (let n = 1; n <= 10; n++) {
      peer.send('work', 'signalled-bell', null, 'same');
      await until(() => running === 1);
      cancel('same');
      expect((await answerTo('same')).done).toBe(true);
      await until(() => running === 0);
    }
    await expectNoMore();
  });

  it('leave nothing that runs when their client goes', async () => {
    for (const id of ['1', '2', '3']) peer.send('work', 'signalled-bell', null, id);
    await until(() => running === 3);
    peer.terminate();
    await until(() => running === 0);
    expect(bell.listenerCount('ring')).toBe(0);
  });
});
