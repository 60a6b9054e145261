import { NotSerializableError } from '../errors.js';
import { guarded } from '../guarded.js';
import type { Bus, BusReceiver } from './bus.js';
import { PRESENCE } from './presence-events.js';

const DONE = Promise.resolve();

/** The bus of a single process: there are no other nodes, and events come straight back. Nothing to install. */
export class MemoryBus implements Bus {
  readonly counters = { unpublished: 0, missing: 0, stale: 0, junk: 0 };
  #events = new Set<string>();
  #receiver: BusReceiver | undefined;

  start(receiver: BusReceiver, events: readonly string[]): Promise<void> {
    this.#receiver = receiver;
    this.#events = new Set(events);
    receiver.stateChanged('ready');
    return DONE;
  }

  /** There is nobody else. */
  publish(): Promise<unknown> {
    return DONE;
  }

  /** There is nobody else. */
  order(): Promise<unknown> {
    return DONE;
  }

  /** The event arrives after the caller's turn, as it would from outside, and as JSON would carry it. */
  emit(channel: string, message: unknown): Promise<unknown> {
    const receiver = this.#receiver;
    if (!receiver || (PRESENCE.has(channel) && !this.#events.has(channel))) return DONE;
    let text: string;
    try {
      text = JSON.stringify(message) ?? 'null';
    } catch (error) {
      this.counters.unpublished++;
      const refusal = Promise.reject(new NotSerializableError(error));
      refusal.catch(() => undefined); // counted; whoever asks hears of it
      return refusal;
    }
    const failed = (error: Error, place: string): void => {
      this.counters.junk++;
      receiver.failed(error, place);
    };
    const receive = guarded(`an event of ${channel}`, failed, () => {
      if (this.#receiver === receiver) receiver.event(channel, JSON.parse(text));
    });
    queueMicrotask(receive);
    return DONE;
  }

  follow(): Promise<void> {
    return DONE;
  }

  unfollow(): void {
    // Nothing was followed.
  }

  stop(): Promise<void> {
    this.#receiver?.stateChanged('stopped');
    this.#receiver = undefined;
    return DONE;
  }
}
