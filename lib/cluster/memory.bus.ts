import type { Bus, BusReceiver } from './bus.js';

/** The bus of a single process: there are no other nodes, and events come straight back. Nothing to install. */
export class MemoryBus implements Bus {
  readonly #channels = new Set<string>();
  #receiver: BusReceiver | undefined;

  start(receiver: BusReceiver): Promise<void> {
    this.#receiver = receiver;
    return Promise.resolve();
  }

  publish(): Promise<void> {
    return Promise.resolve();
  }

  /** The event arrives after the caller's turn, as it would from outside, and as JSON would carry it. */
  emit(channel: string, message: unknown): Promise<void> {
    if (!this.#channels.has(channel)) return Promise.resolve();
    const text = JSON.stringify(message) as string | undefined;
    const copy: unknown = text === undefined ? undefined : JSON.parse(text);
    return Promise.resolve().then(() => this.#receiver?.event(channel, copy));
  }

  subscribe(channel: string): Promise<void> {
    this.#channels.add(channel);
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.#receiver = undefined;
    this.#channels.clear();
    return Promise.resolve();
  }
}
