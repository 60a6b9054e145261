import { afterEach, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { systemClock } from '../../lib/clock.js';
import { CloseCode, WsGateway, WsRoute } from '../../lib/index.js';
import { type Timed, TimeoutQueue } from '../../lib/connection/timeout-queue.js';
import { type RunningApp, startApp } from '../support/app.js';
import { ManualClock } from '../support/manual-clock.js';

let running: RunningApp | undefined;
afterEach(async () => {
  await running?.close();
  running = undefined;
});

describe('messages that wait', () => {
  it('pause the reading of their socket and are all handled in order once it goes on', async () => {
    const seen: number[] = [];
    let release!: () => void;
    const isReleased = new Promise<void>((resolve) => (release = resolve));
    @WsGateway('work')
    class Work {
      @WsRoute('do')
      async do(_ws: unknown, _clientId: string, data: { n: number }): Promise<void> {
        await isReleased;
        seen.push(data.n);
      }
    }
    running = await startApp({ providers: [Work], options: { messages: { maxQueued: 4 } } });
    const peer = await running.connect();
    const bystander = await running.connect();
    const padding = 'x'.repeat(16_000);
    // More than the buffers of both sockets hold, so that the last ones can't have been read ahead.
    for (let n = 0; n < 1_000; n++) peer.send('work', 'do', { n, padding });
    const ws = running.clients.getClient({ clientId: peer.clientId })?.ws;
    const isPaused = (): boolean => ws?.isPaused ?? false;
    while (!isPaused()) await bystander.settle();
    expect(peer.ws.bufferedAmount).toBeGreaterThan(0);
    release();
    await peer.settle();
    while (seen.length < 1_000) await bystander.settle();
    expect(seen).toEqual(Array.from({ length: 1_000 }, (_, n) => n));
    expect(isPaused()).toBe(false);
  });

  it('and ask for an answer get TIMEOUT when their turn does not come in time, and are not handled after that', async () => {
    const seen: number[] = [];
    @WsGateway('work')
    class Work {
      @WsRoute('do')
      async do(_ws: unknown, _clientId: string, n: number): Promise<void> {
        seen.push(n);
        if (n < 3) await new Promise((resolve) => setTimeout(resolve, 600));
      }
    }
    running = await startApp({ providers: [Work], options: { messages: { handlerTimeoutMs: 200 } } });
    const peer = await running.connect();
    const answers = await Promise.all([peer.request('work', 'do', 1), peer.request('work', 'do', 2)]);
    expect(answers.map(({ data }) => data?.code)).toEqual(['TIMEOUT', 'TIMEOUT']);
    expect((await peer.request('work', 'do', 3)).response).toBeNull();
    expect(seen.filter((n) => n !== 2)).toEqual([1, 3]);
  });

  it('are handled several at a time where concurrency says so', async () => {
    let release!: () => void;
    const isReleased = new Promise<void>((resolve) => (release = resolve));
    @WsGateway('work')
    class Work {
      @WsRoute('first')
      first(): Promise<void> {
        return isReleased;
      }
      @WsRoute('second')
      second(): void {
        release();
      }
    }
    running = await startApp({ providers: [Work], options: { messages: { concurrency: 2 } } });
    const peer = await running.connect();
    peer.send('work', 'first', null, 'first');
    peer.send('work', 'second', null, 'second');
    await peer.take(({ id }) => id === 'first');
    expect(peer.received).toMatchObject([{ id: 'second' }]);
  });

  it("don't hold up the answer that the handler before them waits for", async () => {
    @WsGateway('ask')
    class Ask {
      @WsRoute('back')
      async back(_ws: unknown, clientId: string): Promise<unknown> {
        return running?.clients.getClient({ clientId })?.request('quiz', 'question');
      }
    }
    running = await startApp({ providers: [Ask] });
    const peer = await running.connect();
    peer.send('ask', 'back', null, 1);
    const { id } = await peer.next('quiz', 'question');
    peer.sendRaw(JSON.stringify({ type: 'quiz', action: 'question', id, response: 'yes' }));
    expect((await peer.take((frame) => frame.id === 1 && 'response' in frame)).response).toBe('yes');
  });

  it('may come as binary frames of the same JSON', async () => {
    running = await startApp();
    const peer = await running.connect();
    peer.sendRaw(Buffer.from(JSON.stringify({ type: 'system', action: 'joinRoom', data: { roomName: 'bin' }, id: 1 })));
    expect((await peer.take(({ id }) => id === 1)).response.success).toBe(true);
    peer.sendRaw(Buffer.from([0xff, 0xfe]));
    expect((await peer.closed).code).toBe(CloseCode.InvalidUtf8);
  });
});

describe('the heartbeat', () => {
  it('closes a peer that answers no ping with 4201, and keeps one that does', async () => {
    running = await startApp({ options: { heartbeat: { pingIntervalMs: 100, pongTimeoutMs: 1_000 } } });
    const alive = await running.connect();
    const silent = await running.connect({ autoPong: false });
    expect(alive.connected.data.heartbeat).toEqual({ pingIntervalMs: 100, pongTimeoutMs: 1_000 });
    expect((await silent.closed).code).toBe(CloseCode.NoPong);
    expect(running.clients.getClients().map(({ clientId }) => clientId)).toEqual([alive.clientId]);
    await alive.settle();
  });
});

describe('debug.printRoutes', () => {
  it('logs a table of all routes', async () => {
    @WsGateway('printed')
    class Printed {
      @WsRoute('route')
      route(): void {}
    }
    const lines: string[] = [];
    Logger.overrideLogger({ log: (line: string) => lines.push(line), error: () => {}, warn: () => {} });
    try {
      running = await startApp({ providers: [Printed], options: { debug: { printRoutes: true } }, keepsLogger: true });
    } finally {
      Logger.overrideLogger(false);
    }
    expect(lines.join('\n')).toContain('printed/route → Printed.route (AppModule)\nsystem/joinRoom →');
  });
});

describe('TimeoutQueue', () => {
  class Item implements Timed<Item> {
    deadline = 0;
    earlier: Item | undefined;
    later: Item | undefined;
    constructor(readonly name: string) {}
  }

  it('expires what is still there, in order, with one timer', async () => {
    const [a, b, c, d, e, f, g] = [...'abcdefg'].map((name) => new Item(name)) as [
      Item,
      Item,
      Item,
      Item,
      Item,
      Item,
      Item,
    ];
    const expired: string[] = [];
    await new Promise<void>((resolve) => {
      const queue = new TimeoutQueue<Item>(systemClock, 30, (item) => {
        expired.push(item.name);
        if (item === e) resolve();
      });
      for (const item of [a, b, c, a, d]) queue.add(item);
      queue.delete(b);
      queue.delete(b);
      queue.delete(d);
      expect(queue.isOver(a)).toBe(false);
      setTimeout(() => {
        queue.add(d); // anew, after the others
        queue.add(e);
      }, 10);
    });
    expect(expired).toEqual(['a', 'c', 'd', 'e']);
    const stopped = new TimeoutQueue<Item>(systemClock, 1, ({ name }) => expired.push(name));
    stopped.add(f);
    stopped.add(g);
    stopped.stop();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(expired).toEqual(['a', 'c', 'd', 'e']);
    expect([a, b, c, d, e, f, g].every((item) => item.deadline === 0 && !item.earlier && !item.later)).toBe(true);
  });

  it('expires nothing of which it may not have read what came in time', async () => {
    const clock = new ManualClock();
    // The sockets are read, and then, before it judges, the process stands still for 100 ms.
    const standing = {
      now: () => clock.now(),
      after: (ms: number, judge: (now: number) => void) => clock.after(ms + 100, () => judge(clock.now() - 100)),
    };
    const [a, b] = [new Item('a'), new Item('b')];
    const expired: string[] = [];
    const queue = new TimeoutQueue<Item>(standing, 50, ({ name }) => expired.push(name));
    queue.add(a);
    await clock.pass(20);
    queue.add(b);
    await clock.pass(130);
    expect(expired).toEqual(['a']);
    await clock.pass(100);
    expect(expired).toEqual(['a', 'b']);
  });
});
