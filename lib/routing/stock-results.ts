import { filter, from, isObservable } from 'rxjs';
import type { ConnectedClient } from '../decorators/connected-client.js';
import { InvalidMessageError } from '../errors.js';
import { type RouteCall } from './route-call.js';
import { isPromise } from './stream-source.js';

/** Nest's `WsResponse`: what a method of a gateway returns to send a message of that name. */
interface StockMessage {
  event: string;
  data?: unknown;
}

/** Reads a message name `type/action`. Undefined for any other text. */
export function readMessageName(name: unknown): { type: string; action: string } | undefined {
  const [type, action, ...rest] = typeof name === 'string' ? name.split('/') : [];
  return type && action && rest.length === 0 ? { type, action } : undefined;
}

/**
 * The result of a method of a stock gateway. A `{ event, data }` object in it is not part of the reply: it is sent to the client
 * at once, as a separate message.
 */
export function withoutMessages(result: unknown, call: RouteCall): unknown {
  if (isPromise(result)) return Promise.resolve(result).then((value) => withoutMessages(value, call));
  if (isObservable(result)) return from(result).pipe(filter((value) => !isSent(value, call)));
  return isSent(result, call) ? undefined : result;
}

/** @throws {InvalidMessageError} */
function isSent(value: unknown, call: RouteCall): boolean {
  if (!isMessage(value)) return false;
  const name = readMessageName(value.event);
  if (!name)
    throw new InvalidMessageError(
      `${call.type}/${call.action} returned { event: '${value.event}', … }. On this server a message is named ` +
        `'type/action', e.g. { event: 'chat/said', data }.`,
    );
  if (!call.settled) (call.client as ConnectedClient).send({ ...name, data: value.data }, { volatile: false });
  return true;
}

/**
 * True only for an object with just these two fields. An object with more fields is an answer that has an `event`, e.g. of a
 * calendar.
 */
function isMessage(value: unknown): value is StockMessage {
  if (typeof value !== 'object' || value === null) return false;
  if (typeof (value as Partial<StockMessage>).event !== 'string') return false;
  return Object.keys(value).every((key) => key === 'event' || key === 'data');
}
