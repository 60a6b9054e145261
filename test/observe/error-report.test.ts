import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { systemClock } from '../../lib/clock.js';
import { WsRoute } from '../../lib/index.js';
import { ErrorReport } from '../../lib/observe/error-report.js';
import { type RunningApp, startApp } from '../support/app.js';

type Told = { error: Error; place: string; leftOut: number };

describe('errors of one place', () => {
  let told: Told[];
  let report: ErrorReport;
  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['setImmediate'] });
    told = [];
    report = new ErrorReport({ onError: (one) => told.push(one) }, systemClock);
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  const fail = (count: number, place = 'a/b'): void => {
    for (let n = 1; n <= count; n++) report.failed(new Error(`${place} ${n}`), place);
  };

  it('are reported one by one up to 10 in 10 seconds; then the latest follows with the number of the others', async () => {
    fail(1_000);
    await turn();
    expect(told.map(({ error, leftOut }) => [error.message, leftOut])).toEqual(
      Array.from({ length: 10 }, (_, n) => [`a/b ${n + 1}`, 0]),
    );
    jest.advanceTimersByTime(10_000);
    await turn();
    expect(told.slice(10)).toEqual([
      { error: expect.objectContaining({ message: 'a/b 1000' }), place: 'a/b', leftOut: 989 },
    ]);
    fail(1);
    await turn();
    expect(told.at(-1)).toMatchObject({ leftOut: 0 });
  });

  it('leave those of other places as they are', async () => {
    fail(50);
    fail(1, 'c/d');
    await turn();
    expect(told.at(-1)).toMatchObject({ place: 'c/d' });
  });

  it('leave those of another kind as they are', async () => {
    for (let n = 0; n < 50; n++) report.failed(new Error('closed'), 'the bus', 'closed');
    report.failed(new Error('WRONGPASS'), 'the bus', 'WRONGPASS');
    await turn();
    expect(told.at(-1)).toMatchObject({ error: { message: 'WRONGPASS' }, place: 'the bus' });
    jest.advanceTimersByTime(10_000);
    await turn();
    expect(told.at(-1)).toMatchObject({ error: { message: 'closed' }, place: 'the bus', leftOut: 39 });
  });

  it('R12: are counted together where there are too many places to keep apart', async () => {
    for (let n = 0; n < 5_000; n++) fail(1, `place ${n}`);
    await turn();
    expect(told).toHaveLength(1_010);
    jest.advanceTimersByTime(10_000);
    await turn();
    expect(told.at(-1)).toMatchObject({ place: 'other places', leftOut: 3_989 });
    expect(jest.getTimerCount()).toBe(0);
  });

  it('are told at the end of the server, however early that is', async () => {
    fail(12);
    report.flush();
    await turn();
    expect(told.at(-1)).toMatchObject({ leftOut: 1 });
    expect(jest.getTimerCount()).toBe(0);
  });
});

describe('a handler that throws at every message', () => {
  class Routes {
    @WsRoute('test', 'boom')
    boom() {
      throw new Error('secret text');
    }
  }
  let running: RunningApp;
  afterEach(async () => {
    jest.restoreAllMocks();
    await running.close();
  });

  it('logs little of a flood, and the number of what it left out', async () => {
    const lines: string[] = [];
    jest.spyOn(Logger.prototype, 'error').mockImplementation((line: string) => void lines.push(line));
    running = await startApp({ providers: [Routes], options: { events: { onError: undefined } } });
    const peer = await running.connect();
    for (let n = 0; n < 500; n++) peer.send('test', 'boom');
    await peer.settle();
    await peer.request('test', 'boom');
    expect(lines).toEqual(Array.from({ length: 10 }, () => 'In test/boom: secret text'));
    await running.server.stop();
    expect(lines.at(-1)).toBe('In test/boom, and 490 more: secret text');
  });
});
