import type { ChannelMatcher } from '../decorators/ws-subscribe.js';

export interface Subscriber {
  matcher: ChannelMatcher;
  priority?: number;
  handler: (event: unknown) => unknown;
  place: string;
}

/** The subscribers to bus events. */
export class Subscribers {
  #subscribers: Subscriber[] = [];

  constructor(private readonly failed: (error: unknown, place: string) => void) {}

  add(subscriber: Subscriber): void {
    this.#subscribers = [...this.#subscribers, subscriber].toSorted((a, b) => (b.priority ?? 0) - (a.priority ?? 0));
  }

  /** The channels that subscribers name without a pattern. The bus must subscribe to them. */
  get channels(): string[] {
    return this.#subscribers.flatMap(({ matcher }) =>
      typeof matcher === 'string' && matcher !== '*' ? [matcher] : [],
    );
  }

  /** True if a subscriber has a pattern: then the bus must receive all events. */
  get wantsAll(): boolean {
    return this.#subscribers.some(({ matcher }) => typeof matcher !== 'string' || matcher === '*');
  }

  /** Whether a subscriber may want an event of this channel. */
  hears(channel: string): boolean {
    return this.#subscribers.some(
      ({ matcher }) => typeof matcher !== 'string' || matcher === '*' || matcher === channel,
    );
  }

  /** Calls the subscribers one after the other, highest priority first. If one fails, the next still runs. */
  async dispatch<E extends { channel: string; message: unknown }>(event: E): Promise<void> {
    for (const { matcher, handler, place } of this.#subscribers) {
      try {
        if (matches(matcher, event)) await handler(event);
      } catch (error) {
        this.failed(error, place);
      }
    }
  }

  clear(): void {
    this.#subscribers = [];
  }
}

function matches(matcher: ChannelMatcher, { channel, message }: { channel: string; message: unknown }): boolean {
  if (typeof matcher === 'string') return matcher === '*' || matcher === channel;
  if (typeof matcher === 'function') return matcher({ channel, message });
  matcher.lastIndex = 0; // a pattern with the flag g or y remembers where it stopped
  return matcher.test(channel);
}
