import { describe, expect, it } from '@jest/globals';
import { ConnectionError } from '../lib/errors.js';
import { askOnce, PendingRequests } from '../lib/pending-requests.js';

describe('pending requests', () => {
  const start = (stopped?: (id: number) => void) => {
    const timers = new Set<() => void>();
    const after = (_ms: number, task: () => void) => {
      timers.add(task);
      return () => void timers.delete(task);
    };
    return { timers, requests: new PendingRequests<string>(after, stopped) };
  };

  it('leave no timer behind when the first of many answers stops one', async () => {
    const cancelled: number[] = [];
    const { timers, requests } = start((id) => cancelled.push(id));
    const { ended } = requests.begin(
      'a',
      { timeoutMs: 10 },
      () => undefined,
      (_answer, stop) => stop(),
    );
    expect(timers.size).toBe(1);
    requests.find(1)?.answer('first', false);
    await ended;
    expect([timers.size, requests.size, cancelled]).toEqual([0, 0, [1]]);
  });

  it('leave no timer behind when whoever takes an answer ends them all', async () => {
    const { timers, requests } = start();
    const { ended } = requests.begin(
      'a',
      { timeoutMs: 10 },
      () => undefined,
      () => requests.failAll(new ConnectionError('over')),
    );
    requests.find(1)?.answer('first', false);
    await expect(ended).rejects.toThrow('over');
    expect(timers.size).toBe(0);
  });

  it('take an answer while the request is being sent', async () => {
    const { timers, requests } = start();
    const answer = askOnce(requests, 'a', 10, (id) => requests.find(id)?.answer('at once', true));
    expect(await answer).toBe('at once');
    expect([timers.size, requests.size]).toEqual([0, 0]);
  });

  it.each([
    ['ends the connection', (requests: PendingRequests<string>) => requests.failAll(new ConnectionError('over'))],
    [
      'fails',
      () => {
        throw new ConnectionError('over');
      },
    ],
  ])('fail at once when sending %s', async (_what, send) => {
    const { timers, requests } = start();
    const { signal } = new AbortController();
    const { ended } = requests.begin(
      'a',
      { timeoutMs: 10, signal },
      () => send(requests),
      () => undefined,
    );
    await expect(ended).rejects.toThrow('over');
    expect([timers.size, requests.size]).toEqual([0, 0]);
  });
});
