import { PeerError, PxlWebSocketError, UnknownRouteError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { errorFrame } from '../protocol/error-frame.js';
import type { ErrorFrame } from '../protocol/message.js';
import { isA } from '../protocol/thrown.js';
import type { Greeting, ServerMessage } from './greeting.js';
import type { Link } from './link.js';
import type { SocketLike } from './socket-like.js';

/** The second argument of a handler. */
export interface HandlerContext<S extends SocketLike = SocketLike, C = unknown> {
  client: C;
  ws: S;
  clientId: string;
  /** The id of a request; undefined for a message. */
  id?: string | number;
  /** The place of a message in a room with history. */
  at?: { room: string; epoch: string; offset: number };
}

/**
 * Handles one route. Of a request, the first value that is not `undefined` is the reply, and a thrown error is an error frame.
 */
export type RouteHandler<S extends SocketLike = SocketLike, C = unknown, D = unknown> = (
  data: D,
  context: HandlerContext<S, C>,
) => unknown;

/** A handler of any client and any data. `on()` has checked the types. */
export type AnyHandler<S extends SocketLike> = RouteHandler<S, never, never>;

type Request = Pick<ServerMessage, 'type' | 'action' | 'id'>;

/**
 * Calls the handlers of a message, and answers it if it is a request. A handler refuses a request by throwing a PeerError. Any
 * other error is a bug, and goes to `report`.
 */
export function handle<S extends SocketLike>(
  { type, action, data, id, at }: ServerMessage,
  link: Link<S>,
  client: unknown,
  handlers: AnyHandler<S>[],
  report: (error: unknown) => void,
): void {
  const context = { client: client as never, ws: link.socket, clientId: clientIdOf(link), id, at: at as never };
  // Async for its catch. The handler itself is called at once, so handlers run in the order of the frames.
  const outcomes = handlers.map(async (handler) => handler(data as never, context));
  for (const outcome of outcomes)
    outcome.catch((error: unknown) => {
      if (id === undefined || !isA(error, PeerError)) report(error);
    });
  if (id !== undefined) void answer({ type, action, id }, link, outcomes, report);
}

async function answer(
  request: Request,
  link: Link<SocketLike>,
  outcomes: Promise<unknown>[],
  report: (error: unknown) => void,
): Promise<void> {
  const frame = await firstOf(outcomes, request).then(
    (response) => ({ ...request, response }),
    (error: unknown) => refusal(request, error),
  );
  try {
    if (link.isOpen) link.answer(frame);
  } catch (error) {
    report(error);
    link.trySend(refusal(request, isA(error, PxlWebSocketError) ? new PeerError(error.code, error.message) : error));
  }
}

/** Of a link that is open: the server has said it. */
export const clientIdOf = ({ greeting }: Link<SocketLike>): string => (greeting as Greeting).clientId;

async function firstOf(outcomes: Promise<unknown>[], { type, action }: Request): Promise<unknown> {
  if (outcomes.length === 0) throw new UnknownRouteError(type, action);
  for (const outcome of outcomes) {
    const value = await outcome;
    if (value !== undefined) return value;
  }
  return null;
}

function refusal(request: Request, thrown: unknown): ErrorFrame {
  const told = isA(thrown, PeerError)
    ? { error: thrown.message, code: thrown.code, details: thrown.details }
    : { error: 'The client failed.', code: ErrorCode.Internal };
  return errorFrame(told, request);
}
