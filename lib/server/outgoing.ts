import { InvalidMessageError, NotSerializableError } from '../errors.js';
import { encodeFrame } from '../protocol/codec.js';
import type { Audience, Delivery } from '../protocol/delivery.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { ErrorFrame, WebSocketMessage } from '../protocol/message.js';
import { isRouteName } from '../protocol/names.js';
import { errorFrame } from '../routing/error-frame.js';
import type { LocalDelivery } from './delivery.js';

/** Turns a message into a delivery, once, and hands it on: to this node's sockets first, then to the other nodes. */
export class Outgoing {
  constructor(
    private readonly local: LocalDelivery,
    private readonly others: { publish(delivery: Delivery): void },
  ) {}

  deliver(delivery: Delivery): void {
    this.local.deliver(delivery);
    this.others.publish(delivery);
  }

  /** @throws {NotSerializableError} */
  toCluster(audience: Audience, data: unknown, exceptId?: string): void {
    this.deliver(toDelivery(audience, data, exceptId));
  }

  /** @returns the bytes of one copy @throws {NotSerializableError} */
  toThisNode(audience: Audience, data: unknown, exceptId?: string): number {
    const delivery = toDelivery(audience, data, exceptId);
    this.local.deliver(delivery);
    return delivery.frame.byteLength;
  }
}

/** Anything with a JSON form. @throws {NotSerializableError} */
export function encode(data: unknown): string {
  try {
    return encodeFrame(data);
  } catch (error) {
    throw new NotSerializableError(error);
  }
}

/** Only the fields of a message go out, whatever else the object carries. @throws {InvalidMessageError} */
export function encodeMessage({ type, action, data }: WebSocketMessage): Uint8Array {
  if (!isRouteName(type) || !isRouteName(action)) throw new InvalidMessageError();
  return Buffer.from(encode({ type, action, data }));
}

export const plainError = (error: string): ErrorFrame =>
  errorFrame({ error, code: ErrorCode.Internal, isMeantForPeer: true });

function toDelivery(audience: Audience, data: unknown, exceptId: string | undefined): Delivery {
  const frame = Buffer.from(encode(publicMessage(data)));
  return { audience, frame, except: exceptId === undefined ? undefined : [exceptId] };
}

/** A message goes out with its own fields alone; what a bus or a worker added for itself stays inside. */
function publicMessage(data: unknown): unknown {
  if (typeof data !== 'object' || data === null) return data;
  const { type, action, data: inner } = data as Record<string, unknown>;
  if (!isRouteName(type) || !isRouteName(action)) return data;
  return { type, action, data: inner };
}
