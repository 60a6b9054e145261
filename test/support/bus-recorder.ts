import type { Bus } from '../../lib/cluster/bus.js';
import type { BusReceiver, BusState } from '../../lib/cluster/bus-receiver.js';
import type { IsFirst } from '../../lib/cluster/copies.js';
import type { Delivery } from '../../lib/protocol/delivery.js';
import { until } from './until.js';

/** What a bus told this node, in order. */
export class BusRecorder implements BusReceiver {
  readonly deliveries: Delivery[] = [];
  /** The frames that a client which is in every room got. */
  readonly once: string[] = [];
  readonly events: [channel: string, message: unknown][] = [];
  readonly orders: [fromNodeId: string, order: unknown][] = [];
  readonly states: BusState[] = [];
  readonly failures: Error[] = [];

  deliver(delivery: Delivery, isFirst?: IsFirst): void {
    this.deliveries.push(delivery);
    if (!isFirst || isFirst('everywhere')) this.once.push(Buffer.from(delivery.frame).toString());
  }

  event(channel: string, message: unknown): void {
    this.events.push([channel, message]);
  }

  plainEvent(channel: string, message: unknown): void {
    this.events.push([channel, message]);
  }

  order(fromNodeId: string, order: unknown): void {
    this.orders.push([fromNodeId, order]);
  }

  logged(): void {
    // No test of the bus alone has logs.
  }

  stateChanged(state: BusState): void {
    this.states.push(state);
  }

  failed(error: Error): void {
    this.failures.push(error);
  }

  get frames(): string[] {
    return this.deliveries.map(({ frame }) => Buffer.from(frame).toString());
  }
}

export interface RecordedBus extends BusRecorder {
  readonly nodeId: string;
  readonly bus: Bus;
}

/** Resolves when everything that these published before has arrived at all of them. */
export async function settle(buses: readonly RecordedBus[], event: string, isSharded: boolean): Promise<void> {
  const marks = buses.map(({ nodeId, bus }) => {
    const mark = { mark: `${nodeId} ${Math.random()}` };
    void bus.emit(event, mark);
    return mark.mark;
  });
  const has = ({ events }: RecordedBus, mark: string): boolean =>
    events.some(([, message]) => (message as { mark?: string } | null)?.mark === mark);
  await until(() => buses.every((bus) => marks.every((mark) => has(bus, mark))));
  // The shards of a Redis Cluster don't wait for one another: an event on one says nothing of the rest.
  if (isSharded) await new Promise((resolve) => setTimeout(resolve, 100));
  for (const bus of buses) {
    const kept = bus.events.filter(([, message]) => (message as { mark?: string } | null)?.mark === undefined);
    bus.events.splice(0, bus.events.length, ...kept);
  }
}
