import { PeerError, UnknownOrderError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { isRoomName, isRouteName } from '../protocol/names.js';
import { isObject, isText } from './bus-input.js';

/** What a node may ask another node to do for a client there. */
export type Order =
  | { op: 'disconnect'; clientId: string; code: number; reason: string }
  | {
      op: 'join';
      clientId: string;
      request: { roomName: string; username?: string; userType?: string; userId?: string | number };
    }
  | { op: 'leave'; clientId: string; roomName: string }
  | { op: 'leaveAll'; clientId: string }
  | { op: 'update'; clientId: string; key: string; data: unknown }
  | { op: 'request'; clientId: string; type: string; action: string; data: unknown; timeoutMs: number | undefined };

type Fields = Record<string, unknown>;

/** Checks the fields of each kind of order. */
const CHECKS: { [O in Order['op']]: (order: Fields) => boolean } = {
  disconnect: ({ code, reason }) =>
    (code === undefined || typeof code === 'number') && (reason === undefined || isText(reason)),
  join: ({ request }) => isObject(request) && isRoomName(request['roomName']),
  leave: ({ roomName }) => isRoomName(roomName),
  leaveAll: () => true,
  update: ({ key }) => isText(key),
  request: ({ type, action, timeoutMs }) =>
    isRouteName(type) && isRouteName(action) && (timeoutMs === undefined || Number.isFinite(timeoutMs)),
};

/**
 * Reads another node's order.
 * @throws {UnknownOrderError} for a kind that only a newer version knows
 * @throws {PeerError} BAD_REQUEST for an incomplete one
 */
export function readOrder(order: Fields): Order {
  const { op, clientId } = order;
  if (typeof op !== 'string' || !Object.hasOwn(CHECKS, op)) throw new UnknownOrderError(String(op));
  if (!isText(clientId) || !CHECKS[op as Order['op']](order))
    throw new PeerError(ErrorCode.BadRequest, `The order "${op}" is incomplete.`);
  return order as unknown as Order;
}

/** Reads another node's answer. An error without a code or a text is still an error. */
export function readAnswer({ error, result }: Fields): {
  error?: { code: string; error: string; details?: unknown };
  result?: unknown;
} {
  if (error === undefined) return { result };
  const { code, error: text, details } = isObject(error) ? error : {};
  return {
    error: {
      code: isText(code) ? code : ErrorCode.Internal,
      error: isText(text) ? text : 'The other node failed.',
      details,
    },
  };
}
