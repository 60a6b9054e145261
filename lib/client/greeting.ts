import { fieldsOf } from '../protocol/fields.js';
import type { RequestId, RoomPosition, WebSocketUser } from '../protocol/message.js';

/** A message or a request of the server. */
export interface ServerMessage {
  type: string;
  action: string;
  data: unknown;
  id: RequestId | undefined;
  /** Its place in a room with history. */
  at?: unknown;
}

/** The data of `system/connected`. */
export interface Greeting {
  clientId: string;
  user: Pick<WebSocketUser, 'userId'> | undefined;
  /** Milliseconds between two pings of the server; undefined when it sends none, or is older. */
  heartbeatMs: number | undefined;
  /** The limits of the server; undefined for an older server. */
  maxPayload: number | undefined;
  maxDepth: number | undefined;
  /** Features of the server beyond the first version of the protocol. */
  features: readonly unknown[];
}

/** Reads the first frame; `undefined` when it isn't `system/connected` with a client id. */
export function readGreeting({ type, action, data }: ServerMessage): Greeting | undefined {
  if (type !== 'system' || action !== 'connected') return undefined;
  const { clientId, user, heartbeat, limits, features } = fieldsOf(data);
  if (typeof clientId !== 'string' || !clientId) return undefined;
  const { userId } = fieldsOf(user);
  const { maxPayload, maxDepth } = fieldsOf(limits);
  return {
    clientId,
    user: userId === undefined ? userId : { userId: userId as string },
    heartbeatMs: positive(fieldsOf(heartbeat)['pingIntervalMs']),
    maxPayload: positive(maxPayload),
    maxDepth: positive(maxDepth),
    features: [features].flat(),
  };
}

/** Reads a place in a room with history. Undefined for anything else. */
export function readPosition(value: unknown): RoomPosition | undefined {
  const { epoch, offset } = fieldsOf(value);
  return typeof epoch === 'string' && typeof offset === 'number' ? { epoch, offset } : undefined;
}

const positive = (value: unknown): number | undefined => (typeof value === 'number' && value > 0 ? value : undefined);
