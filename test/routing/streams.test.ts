import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type CallHandler,
  Catch,
  type ExceptionFilter,
  type ExecutionContext,
  type NestInterceptor,
  UseFilters,
  UseInterceptors,
} from '@nestjs/common';
import { EMPTY, from, interval, map, NEVER, type Observable, of, Subject, throwError } from 'rxjs';
import { WsException } from '@nestjs/websockets';
import { WsGateway, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';

class Double implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler<number>): Observable<number> {
    return next.handle().pipe(map((value) => value * 2));
  }
}

class Passing implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler<unknown>): Observable<unknown> {
    return next.handle().pipe(map((value) => value));
  }
}

class Cached implements NestInterceptor {
  intercept(): Observable<string> {
    return of('from the cache');
  }
}

@Catch(WsException)
class Filter implements ExceptionFilter {
  catch(exception: WsException): unknown {
    return { filtered: exception.message };
  }
}

let isUnsubscribed: Subject<string>;
let source: Subject<number>;

@WsGateway('stream')
class StreamGateway {
  @WsRoute('observable')
  observable(): Observable<number> {
    return from([1, 2, 3]);
  }

  /** Somebody else reads it. */
  @WsRoute('locked')
  locked(): ReadableStream {
    const stream = new ReadableStream();
    stream.getReader();
    return stream;
  }

  @WsRoute('lockedLater')
  async lockedLater(): Promise<ReadableStream> {
    return this.locked();
  }

  @UseInterceptors(Double)
  @WsRoute('intercepted')
  intercepted(): Observable<number> {
    return from([1, 2, 3]);
  }

  @UseInterceptors(Double)
  @WsRoute('single')
  single(): number {
    return 21;
  }

  @UseInterceptors(Cached)
  @WsRoute('cached')
  cached(): Observable<number> {
    return from([1, 2, 3]);
  }

  @WsRoute('iterable')
  async *iterable(): AsyncIterable<string> {
    yield 'a';
    await turn();
    yield 'b';
  }

  @WsRoute('empty')
  empty(): Observable<never> {
    return EMPTY;
  }

  @WsRoute('endless')
  endless(): Observable<number> {
    return interval(1);
  }

  @WsRoute('source')
  source(): Observable<number> {
    return source;
  }

  @WsRoute('quiet')
  quiet(): Observable<never> {
    return NEVER;
  }

  @WsRoute('generator')
  async *generator(): AsyncIterable<number> {
    try {
      for (let number = 0; ; number++) {
        yield number;
        await turn();
      }
    } finally {
      isUnsubscribed.next('generator');
    }
  }

  @UseInterceptors(Passing)
  @WsRoute('interceptedGenerator')
  interceptedGenerator(): AsyncIterable<number> {
    return this.generator();
  }

  @WsRoute('fails')
  fails(): Observable<number> {
    return throwError(() => new WsException('broken'));
  }

  @UseFilters(Filter)
  @WsRoute('filtered')
  filtered(): Observable<number> {
    return throwError(() => new WsException('broken'));
  }

  @WsRoute('big')
  big(): Observable<unknown> {
    return of(1, 1n, 3);
  }

  @WsRoute('echo')
  echo(_ws: unknown, _clientId: string, data: unknown): unknown {
    return data;
  }
}

describe('streams', () => {
  let running: RunningApp;
  let peer: Peer;
  beforeEach(async () => {
    source = new Subject();
    isUnsubscribed = new Subject();
    running = await startApp({
      providers: [StreamGateway],
      options: { messages: { handlerTimeoutMs: 300, maxStreams: 2 } },
    });
    peer = await running.connect();
  });
  afterEach(() => running.close());

  const collect = async (action: string, id = 's1'): Promise<unknown[]> => {
    peer.send('stream', action, undefined, id);
    const values: unknown[] = [];
    for (;;) {
      const frame = await peer.take((candidate) => candidate.id === id);
      if (!frame.more) return [...values, frame.data?.code ?? (frame.done ? 'done' : { reply: frame.response })];
      values.push(frame.response);
    }
  };

  it('sends each value of an Observable, then done', async () => {
    expect(await collect('observable')).toEqual([1, 2, 3, 'done']);
  });

  it('sends each value through the interceptors', async () => {
    expect(await collect('intercepted')).toEqual([2, 4, 6, 'done']);
  });

  it('replies once where an interceptor stands around a plain value', async () => {
    expect(await collect('single')).toEqual([{ reply: 42 }]);
  });

  it('replies once where an interceptor answers in place of a streaming handler', async () => {
    expect(await collect('cached')).toEqual([{ reply: 'from the cache' }]);
  });

  it('sends each value of an async iterable, then done', async () => {
    expect(await collect('iterable')).toEqual(['a', 'b', 'done']);
  });

  it('ends an empty stream with done alone', async () => {
    expect(await collect('empty')).toEqual(['done']);
  });

  it('has the shape of the protocol', async () => {
    peer.send('stream', 'observable', undefined, 7);
    expect(await peer.take((frame) => frame.id === 7)).toEqual({
      type: 'stream',
      action: 'observable',
      id: 7,
      response: 1,
      more: true,
    });
    const end = await peer.take((frame) => frame.done === true);
    expect(end).toEqual({ type: 'stream', action: 'observable', id: 7, done: true });
  });

  it('ends a stream that fails with an error frame, or with what a filter makes of it', async () => {
    expect(await collect('fails')).toEqual(['BAD_REQUEST']);
    expect(await collect('filtered')).toEqual([{ reply: { filtered: 'broken' } }]);
  });

  it('ends a stream whose value has no JSON form with INTERNAL and stays up', async () => {
    expect(await collect('big')).toEqual([1, 'INTERNAL']);
    expect(running.errors).toHaveLength(1);
  });

  it('does not hold up the messages behind it, nor run out of time while it is quiet', async () => {
    peer.send('stream', 'quiet', undefined, 'q');
    expect((await peer.request('stream', 'echo', 1)).response).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 700));
    await peer.settle();
    expect(peer.received.filter((frame) => frame.id === 'q')).toEqual([]);
  });

  it('unsubscribes when the asker cancels, and says done', async () => {
    peer.send('stream', 'source', undefined, 's1');
    await peer.settle();
    expect(source.observed).toBe(true);
    source.next(5);
    expect((await peer.take((frame) => frame.id === 's1')).response).toBe(5);
    peer.send('system', 'cancel', undefined, 's1');
    expect(await peer.take((frame) => frame.id === 's1')).toMatchObject({ done: true });
    expect(source.observed).toBe(false);
  });

  const generators = ['generator', 'interceptedGenerator'];
  it.each(generators)('runs the finally block of a generator when the asker cancels: %s', async (action) => {
    const ended = new Promise((resolve) => isUnsubscribed.subscribe(resolve));
    peer.send('stream', action, undefined, 'g');
    await peer.take((frame) => frame.id === 'g' && frame.response === 3);
    peer.send('system', 'cancel', undefined, 'g');
    expect(await ended).toBe('generator');
    expect(await peer.take((frame) => frame.id === 'g' && frame.done === true)).toBeDefined();
  });

  it.each(generators)('unsubscribes when the socket closes, and ends a generator: %s', async (action) => {
    const ended = new Promise((resolve) => isUnsubscribed.subscribe(resolve));
    peer.send('stream', 'source', undefined, 's1');
    peer.send('stream', action, undefined, 'g');
    await peer.take((frame) => frame.id === 'g');
    peer.terminate();
    expect(await ended).toBe('generator');
    expect(source.observed).toBe(false);
  });

  it.each(['locked', 'lockedLater'])('keeps no place for a stream whose source can not be read: %s', async (action) => {
    for (let n = 0; n < 5; n++) expect(await collect(action, `locked ${n}`)).toEqual(['INTERNAL']);
    expect(await collect('observable')).toEqual([1, 2, 3, 'done']);
    expect(running.errors.splice(0)).toHaveLength(5);
  });

  it.each(['source', 'interceptedGenerator'])(
    'refuses a second stream of the same id, and more than allowed: %s',
    async (action) => {
      peer.send('stream', action, undefined, 'a');
      peer.send('stream', action, undefined, 'a');
      expect((await peer.error()).data.code).toBe('DUPLICATE_ID');
      peer.send('stream', action, undefined, 'b');
      peer.send('stream', action, undefined, 'c');
      expect((await peer.error()).data.code).toBe('STREAM_LIMIT');
    },
  );
});
