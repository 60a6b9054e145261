import { monotonicMs } from '../clock.js';
import type { ConnectedClient } from '../decorators/connected-client.js';

/** A push of the list costs its size times its receivers: no more than this many bytes a second are spent on it. */
const BYTES_PER_SECOND = 1_048_576;

export interface ClientListOptions {
  maxClients: number;
  minIntervalMs: number;
}

/**
 * Pushes the public client list when it changed. Changes of one interval go out together, and the larger a push is, the
 * longer the next one waits: the cost is bounded in time, however many clients come and go.
 */
export class ClientList {
  #timer: NodeJS.Timeout | undefined;
  #event = 'updated';
  #quietUntil = 0;

  constructor(
    private readonly options: ClientListOptions,
    private readonly clients: { readonly size: number; getClients(): ConnectedClient[] },
    /** Sends one message to all; resolves to the bytes of one copy. */
    private readonly push: (message: { type: string; action: string; data: unknown }) => number,
  ) {}

  changed(event = 'updated'): void {
    this.#event = event;
    if (this.#timer) return;
    const now = monotonicMs();
    const wait = Math.max(this.options.minIntervalMs, this.#quietUntil - now);
    this.#timer = setTimeout(() => this.#send(), wait).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #send(): void {
    this.#timer = undefined;
    const count = this.clients.size;
    if (count === 0) return;
    const isShort = count <= this.options.maxClients;
    const data = { event: this.#event, count, ...(isShort ? { clients: this.clients.getClients() } : {}) };
    const bytes = this.push({ type: 'system', action: 'clientList', data });
    this.#quietUntil = monotonicMs() + ((bytes * count) / BYTES_PER_SECOND) * 1_000;
  }
}
