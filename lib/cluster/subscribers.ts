import type { ChannelMatcher } from '../decorators/ws-subscribe.js';

export interface Subscriber {
  matcher: ChannelMatcher;
  priority?: number;
  handler: (event: unknown) => unknown;
  place: string;
}

/** Who wants which bus events. */
export class Subscribers {
  #subscribers: Subscriber[] = [];

  constructor(private readonly failed: (error: unknown, place: string) => void) {}

  add(subscriber: Subscriber): void {
    this.#subscribers = [...this.#subscribers, subscriber].toSorted((a, b) => (b.priority ?? 0) - (a.priority ?? 0));
  }

  /** The channels that are named, patterns aside: the bus must subscribe to them. */
  get channels(): string[] {
    return this.#subscribers.flatMap(({ matcher }) =>
      typeof matcher === 'string' && matcher !== '*' ? [matcher] : [],
    );
  }

  /** True when somebody wants events that aren't named: all that there are must be heard. */
  get wantsAll(): boolean {
    return this.#subscribers.some(({ matcher }) => typeof matcher !== 'string' || matcher === '*');
  }

  /** Whether an event of this channel may be wanted. */
  hears(channel: string): boolean {
    return this.#subscribers.some(
      ({ matcher }) => typeof matcher !== 'string' || matcher === '*' || matcher === channel,
    );
  }

  /** Highest priority first, one after the other; one that fails doesn't keep the next from running. */
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
