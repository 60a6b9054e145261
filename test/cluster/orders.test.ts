import { describe, expect, it } from '@jest/globals';
import { OrderExchange } from '../../lib/cluster/order-exchange.js';
import { TimeoutError } from '../../lib/errors.js';
import { ManualClock } from '../support/manual-clock.js';

describe('an order to another node', () => {
  it('fails by the clock of the cluster when no answer comes, and ignores a late answer', async () => {
    const clock = new ManualClock();
    const sent: { id: number }[] = [];
    const bus = { order: async (_nodeId: string, message: object) => void sent.push(message as { id: number }) };
    const receiver = { obey: () => Promise.reject(new Error()), describe: () => ({ code: 'X', error: 'x' }) };
    const orders = new OrderExchange(bus, receiver, clock, () => undefined);
    const order = orders.send('n1', { op: 'leave', clientId: 'n1.a', roomName: 'red' }, 10_000);
    const outcome = order.catch((error: unknown) => error);
    await clock.pass(9_999);
    const [{ id } = { id: 0 }] = sent;
    await clock.pass(1);
    expect(await outcome).toBeInstanceOf(TimeoutError);
    orders.receive('n1', { op: 'answer', id, result: true });
  });
});
