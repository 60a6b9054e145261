import { PeerError, PxlWebSocketError, UnknownRouteError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { errorFrame } from '../protocol/error-frame.js';
import type { ErrorFrame } from '../protocol/message.js';
import { isA } from '../protocol/thrown.js';
import type { EventSink } from './client-events.js';
import type { ServerMessage } from './greeting.js';
import type { Link } from './link.js';
import type { Listeners } from './listeners.js';
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

/** Handles the server's messages: calls `onMessage`, then each handler, and answers requests. */
export class Inbox<S extends SocketLike> {
  readonly #client: unknown;
  readonly #handlers: Listeners<AnyHandler<S>>;
  readonly #events: EventSink<S>;

  constructor(client: unknown, handlers: Listeners<AnyHandler<S>>, events: EventSink<S>) {
    this.#client = client;
    this.#handlers = handlers;
    this.#events = events;
  }

  receive(message: ServerMessage, link: Link<S>): void {
    const { type, action, data } = message;
    this.#events.emit('message', {
      ws: link.socket,
      clientId: clientIdOf(link),
      data: { type, action, data },
    });
    this.handle(message, link);
  }

  /** Calls the handlers only. For the greeting, which `onConnected` announces. */
  handle(message: ServerMessage, link: Link<S>): void {
    const { type, action, data, id, at } = message;
    const context = { client: this.#client as never, ws: link.socket, clientId: clientIdOf(link), id, at: at as never };
    const outcomes = this.#handlers
      .of(`${type}/${action}`)
      // Async for its catch. The handler itself is called at once, so handlers run in the order of the frames.
      .map(async (handler) => handler(data as never, context));
    // A handler refuses a request by throwing a PeerError. Any other error is a bug.
    for (const outcome of outcomes)
      outcome.catch((error: unknown) => {
        if (id === undefined || !isA(error, PeerError)) this.#events.report(error);
      });
    if (id !== undefined) void this.#answer({ type, action, id }, link, outcomes);
  }

  async #answer(request: Request, link: Link<S>, outcomes: Promise<unknown>[]): Promise<void> {
    const frame = await firstOf(outcomes, request).then(
      (response) => ({ ...request, response }),
      (error: unknown) => refusal(request, error),
    );
    try {
      if (link.isOpen) link.answer(frame);
    } catch (error) {
      this.#events.report(error);
      link.trySend(refusal(request, isA(error, PxlWebSocketError) ? new PeerError(error.code, error.message) : error));
    }
  }
}

const clientIdOf = ({ greeting }: Link<SocketLike>): string => greeting?.clientId ?? '';

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
    : { error: 'The client failed to handle this request.', code: ErrorCode.Internal };
  return errorFrame(told, request);
}
