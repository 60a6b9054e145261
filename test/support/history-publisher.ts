import { ConnectionError, type RoomPosition, WebSocketClient } from '../../lib/index.js';
import type { HistoryLedger } from './history-ledger.js';
import type { PublishAnswer } from './history-ledger-facts.js';

/** What a node's route `history/publish` takes. */
export interface HistoryOrder {
  room: string;
  token: string;
  key?: string;
  padding?: number | undefined;
}

const PATIENCE_MS = 6_000;
const AGAIN_MS = 100;

interface PublisherParts {
  name: string;
  ledger: HistoryLedger;
  /** Asked at each attempt to connect: a node that lives. */
  url: () => string;
  rooms: readonly string[];
  gapMs: number;
  padding?: number | undefined;
}

/**
 * A peer that publishes through a node, one after the other. Where the answer is lost, it asks again with the same key, on
 * another node if it must; every fourth it publishes without a key, and asks once.
 */
export class HistoryPublisher {
  readonly #client: WebSocketClient;
  lastAnswer: PublishAnswer | undefined;
  #isHalted = false;
  #publishing: Promise<void> = Promise.resolve();
  #n = 0;

  constructor(private readonly parts: PublisherParts) {
    this.#client = new WebSocketClient({
      url: parts.url,
      reconnect: { minDelayMs: 10, maxDelayMs: 200 },
      events: { onError: () => undefined },
    });
  }

  async start(): Promise<void> {
    await this.#client.connectToServer();
    this.#publishing = this.#publishAll();
  }

  /** Resolves when the outcome of the last one is known, or can't be. */
  async halt(): Promise<void> {
    this.#isHalted = true;
    await this.#publishing;
  }

  stop(): void {
    this.#isHalted = true;
    this.#client.disconnect();
  }

  /** One more into each room, tried until it is stored. @returns where each room is then */
  async last(): Promise<Map<string, RoomPosition>> {
    const places = new Map<string, RoomPosition>();
    for (const room of this.parts.rooms) {
      const token = `${this.parts.name} last of ${room}`;
      for (let n = 0; !places.has(room); n++) {
        if (n === 100) throw new Error(`${room} takes no publication any more.`);
        const place = await this.#publish({ room, token, key: token });
        if ('epoch' in place) places.set(room, place);
        else await pause(AGAIN_MS);
      }
    }
    return places;
  }

  async #publishAll(): Promise<void> {
    const { name, rooms, gapMs, padding } = this.parts;
    while (!this.#isHalted) {
      const n = ++this.#n;
      for (const room of rooms) {
        const token = `${name} ${room} ${n}`;
        await this.#insist({ room, token, padding, ...(n % 4 > 0 && { key: token }) });
      }
      await pause(gapMs);
    }
  }

  /** What is refused every other publication gives up: nobody may ever see it. */
  async #insist(order: HistoryOrder): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    const givesUp = this.#n % 2 === 0;
    while (!this.#client.isClientConnected() && Date.now() < deadline) await pause(10);
    for (;;) {
      const answer = await this.#publish(order);
      if ('epoch' in answer) return;
      await pause(AGAIN_MS);
      if (!order.key || (givesUp && answer.code === 'UNAVAILABLE') || Date.now() > deadline) return;
    }
  }

  async #publish(order: HistoryOrder): Promise<PublishAnswer> {
    const { ledger } = this.parts;
    ledger.publishing(order.token, order.room);
    const answer = await this.#client
      .request<RoomPosition & { isDuplicate: boolean }>('history', 'publish', order)
      .catch((error: unknown) => ({ code: codeOf(error), message: String(error) }));
    ledger.answered(order.token, answer);
    this.lastAnswer = answer;
    return answer;
  }
}

/** Whatever isn't a clear refusal may have been stored. */
function codeOf(error: unknown): string {
  if (error instanceof ConnectionError && error.message.startsWith('There is no open connection')) return 'UNAVAILABLE';
  const { code } = error as { code?: string };
  return code === 'UNAVAILABLE' ? code : 'UNKNOWN_OUTCOME';
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
