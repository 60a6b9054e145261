import type { Clock } from '../clock.js';
import { MemoryRegistryStore } from './memory-registry-store.js';
import { refused } from './publish-queue.js';
import type { Transport, TransportListener, TransportState, Way } from './transport.js';

/** Connects servers of one process without Redis. */
export class MemoryNetwork {
  readonly store: MemoryRegistryStore;
  readonly #members = new Set<MemoryTransport>();

  constructor(readonly clock: Clock) {
    this.store = new MemoryRegistryStore(clock);
  }

  get size(): number {
    return this.#members.size;
  }

  join(): MemoryTransport {
    return new MemoryTransport(this.clock, this.#members);
  }
}

/** Carries messages between servers of one process. Without a network, only its own events come back. */
export class MemoryTransport implements Transport, Way {
  readonly name = 'memory';
  readonly hasOneOrder = true;
  readonly ways = [this];
  readonly isAlone: boolean;
  readonly #members: Set<MemoryTransport>;
  readonly #subscribed = new Set<string>();
  #listener: TransportListener | undefined;

  constructor(
    private readonly clock: Clock,
    members?: Set<MemoryTransport>,
  ) {
    this.isAlone = members === undefined;
    this.#members = members ?? new Set();
  }

  get isOpen(): boolean {
    return this.#listener !== undefined;
  }

  get state(): TransportState {
    return this.isOpen ? 'up' : 'down';
  }

  wayOf(): Way {
    return this;
  }

  open(): Promise<number> {
    return Promise.resolve(0);
  }

  connect(listener: TransportListener): void {
    this.#listener = listener;
    this.#members.add(this);
    queueMicrotask(() => {
      this.#listener?.wayChanged(this, 'up');
      this.#listener?.outletChanged();
    });
  }

  /** Arrives after the turn of the caller, as it would from another process. */
  publish(channel: string, payload: string | Buffer): Promise<unknown> {
    if (!this.isOpen) return refused('the bus was stopped');
    const bytes = Buffer.from(payload as Buffer);
    const receivers = [...this.#members].filter((member) => member.#subscribed.has(channel));
    queueMicrotask(() => {
      for (const receiver of receivers) receiver.#listener?.received(channel, bytes, receiver);
    });
    return Promise.resolve(receivers.length);
  }

  flush(): void {
    // Nothing waits for the end of the turn.
  }

  time(): Promise<number[]> {
    return Promise.resolve([0, this.clock.now() * 1_000]);
  }

  sharesCommands(): boolean {
    return true;
  }

  subscribe(channels: readonly string[]): Promise<unknown> {
    for (const channel of channels) this.#subscribed.add(channel);
    return Promise.resolve();
  }

  unsubscribe(channels: readonly string[]): Promise<unknown> {
    for (const channel of channels) this.#subscribed.delete(channel);
    return Promise.resolve();
  }

  rebuild(): void {
    // Memory doesn't fail.
  }

  rebuildOutlet(): void {
    // Memory doesn't fail.
  }

  close(): Promise<void> {
    this.#listener = undefined;
    this.#members.delete(this);
    this.#subscribed.clear();
    return Promise.resolve();
  }
}
