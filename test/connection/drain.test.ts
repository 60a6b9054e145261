import { EventEmitter } from 'node:events';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { WebSocket } from 'ws';
import { systemClock } from '../../lib/clock.js';
import { closeSpread } from '../../lib/connection/drain.js';
import { Deadline } from '../../lib/deadline.js';

let busy: NodeJS.Timeout | undefined;
afterEach(() => clearInterval(busy));

/** A socket that notes when it was closed, and is closed at once. */
class FakeSocket extends EventEmitter {
  readonly CLOSED = 3;
  readyState = 1;
  closed: [code: number, atMs: number] | undefined;

  close(code: number): void {
    this.closed = [code, performance.now()];
    this.readyState = this.CLOSED;
    this.emit('close');
  }

  resume(): void {}
}

describe('the closes of a server that stops', () => {
  it('C7: are spread over their time, and come to an end in it, however busy the process is', async () => {
    const sockets = Array.from({ length: 100 }, () => new FakeSocket());
    busy = setInterval(() => {
      const end = performance.now() + 200;
      while (performance.now() < end);
    }, 1);
    const began = performance.now();
    const limit = new Deadline(systemClock, 3_000);
    await closeSpread(sockets as unknown as WebSocket[], 1_000, limit, systemClock);
    limit.cancel();
    const closes = sockets.map(({ closed }) => closed ?? [0, 0]);
    expect(closes.map(([code]) => code)).toEqual(sockets.map(() => 1012)); // nobody is left to be cut
    const [first = 0, last = 0] = [closes[0]?.[1], closes.at(-1)?.[1]];
    expect(first).toBeLessThan(last - 100); // not all in one turn
    expect(last - began).toBeGreaterThan(900);
  });
});
