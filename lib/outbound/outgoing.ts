import type { Cluster } from '../cluster/cluster.js';
import { InvalidMessageError } from '../errors.js';
import { encode } from '../json-value.js';
import type { Audience, BackpressureOptions, BackpressurePolicy, Delivery, SendOptions } from '../protocol/delivery.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { ErrorFrame, WebSocketMessage } from '../protocol/message.js';
import { isRouteName } from '../protocol/names.js';
import { errorFrame } from '../protocol/error-frame.js';
import { checkSending } from './check-sending.js';
import type { LocalDelivery } from './local-delivery.js';

/** Publishes to rooms with history. */
export interface RoomHistory {
  /** The rooms of an audience that have a history. */
  roomsIn(audience: Audience): string[];
  /** @throws {InvalidMessageError} for options that a room with history doesn't have */
  send(
    kept: readonly string[],
    audience: Audience,
    message: WebSocketMessage,
    options: SendOptions,
    sendRest: (roomNames: string[]) => Promise<unknown>,
  ): Promise<unknown>;
}

const NONE: string[] = [];

/** Turns a message into a delivery, once. Passes it to this node's sockets, then to the other nodes. */
export class Outgoing {
  constructor(
    private readonly local: LocalDelivery,
    private readonly others: Pick<Cluster, 'publish'>,
    private readonly policy: BackpressurePolicy,
    /** Undefined without rooms with history. */
    private readonly history: RoomHistory | undefined,
    private readonly failed: (error: unknown, place: string) => void,
  ) {}

  /** @returns settles when the message is handed to the other nodes, or can't be. The rejection needs no handler */
  deliver(delivery: Delivery): Promise<unknown> {
    this.local.deliver(delivery);
    return this.others.publish(delivery);
  }

  /** @returns like `deliver()` @throws {InvalidMessageError} @throws {NotSerializableError} */
  send(audience: Audience, message: WebSocketMessage, options: SendOptions = {}): Promise<unknown> {
    checkSending(audience, options);
    const kept = this.history?.roomsIn(audience) ?? NONE;
    if (kept.length > 0) return this.#publish(kept, audience, message, options);
    const frame = encodeMessage(message);
    return this.deliver({ audience, except: options.except, frame, ...flagsOf(message, options, this.policy) });
  }

  /** @throws {NotSerializableError} */
  toCluster(audience: Audience, data: unknown, options: SendOptions = {}): void {
    const kept = this.history?.roomsIn(audience) ?? NONE;
    if (kept.length > 0) return this.#publishQuietly(kept, audience, data as WebSocketMessage, options);
    void this.deliver(this.#toDelivery(audience, data, options));
  }

  /** @returns the bytes of one copy @throws {NotSerializableError} */
  toThisNode(audience: Audience, data: unknown, options: SendOptions = {}, bytes?: Uint8Array): number {
    const delivery = this.#toDelivery(audience, data, options);
    if (bytes) delivery.frame = bytes;
    this.local.deliver(delivery);
    return Buffer.byteLength(delivery.frame);
  }

  /** @throws {InvalidMessageError} for options that a room with history doesn't have */
  #publish(kept: string[], audience: Audience, message: WebSocketMessage, options: SendOptions): Promise<unknown> {
    return (this.history as RoomHistory).send(kept, audience, message, options, (roomNames) =>
      this.send({ kind: 'rooms', roomNames }, message, options),
    );
  }

  #publishQuietly(kept: string[], audience: Audience, message: WebSocketMessage, options: SendOptions): void {
    this.#publish(kept, audience, message, options).catch((error: unknown) =>
      this.failed(error, 'publishing to a room'),
    );
  }

  #toDelivery(audience: Audience, data: unknown, options: SendOptions): Delivery {
    const message = publicMessage(data);
    return { audience, except: options.except, frame: encode(message), ...flagsOf(message, options, this.policy) };
  }
}

/** Sends the three fields of a message, whatever else the object has. @throws {InvalidMessageError} */
export function encodeMessage({ type, action, data }: WebSocketMessage): string {
  if (!isRouteName(type) || !isRouteName(action)) throw new InvalidMessageError();
  return encode({ type, action, data });
}

export const plainError = (error: string): ErrorFrame => errorFrame({ error, code: ErrorCode.Internal });

/** The options of a call take precedence over `backpressure.policy`. */
export function flagsOf(
  message: unknown,
  { volatile, conflateKey }: BackpressureOptions,
  policy: BackpressurePolicy = 'close',
): Pick<Delivery, 'isVolatile' | 'conflateKey'> {
  if (conflateKey !== undefined) return { conflateKey };
  if (volatile !== undefined || policy === 'close') return { isVolatile: volatile };
  if (policy === 'drop-volatile') return { isVolatile: true };
  const { type, action } = (message ?? {}) as Partial<WebSocketMessage>;
  return isRouteName(type) && isRouteName(action) ? { conflateKey: `${type}/${action}` } : {};
}

/** Sends only the fields of a message. Fields that a bus or a worker added stay here. */
function publicMessage(data: unknown): unknown {
  if (typeof data !== 'object' || data === null) return data;
  const { type, action, data: inner } = data as Record<string, unknown>;
  if (!isRouteName(type) || !isRouteName(action)) return data;
  return { type, action, data: inner };
}
