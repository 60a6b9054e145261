import type { Bus, BusReceiver } from './bus.js';

/** The bus of a single process: there are no other nodes, and events come straight back. Nothing to install. */
export class MemoryBus implements Bus {
  readonly counters = { unpublished: 0, missing: 0, stale: 0, junk: 0 };
  #events = new Set<string>();
  #receiver: BusReceiver | undefined;

  start(receiver: BusReceiver, events: readonly string[]): Promise<void> {
    this.#receiver = receiver;
    this.#events = new Set(events);
    receiver.stateChanged('ready');
    return Promise.resolve();
  }

  publish(): void {
    // There is nobody else.
  }

  order(): void {
    // There is nobody else.
  }

  /** The event arrives after the caller's turn, as it would from outside, and as JSON would carry it. */
  emit(channel: string, message: unknown): void {
    const receiver = this.#receiver;
    if (!receiver || !this.#events.has(channel)) return;
    let text: string;
    try {
      text = JSON.stringify(message) ?? 'null';
    } catch {
      this.counters.unpublished++;
      return;
    }
    queueMicrotask(() => {
      if (this.#receiver === receiver) receiver.event(channel, JSON.parse(text));
    });
  }

  follow(): Promise<void> {
    return Promise.resolve();
  }

  unfollow(): void {
    // Nothing was followed.
  }

  stop(): Promise<void> {
    this.#receiver?.stateChanged('stopped');
    this.#receiver = undefined;
    return Promise.resolve();
  }
}
