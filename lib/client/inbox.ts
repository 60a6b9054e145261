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

type Outcome = { value: unknown } | { error: unknown };

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
      clientId: link.greeting?.clientId ?? '',
      data: { type, action, data },
    });
    this.handle(message, link);
  }

  /** Calls the handlers only. For the greeting, which `onConnected` announces. */
  handle(message: ServerMessage, link: Link<S>): void {
    const { type, action, data, id, at } = message;
    const ws = link.socket;
    const clientId = link.greeting?.clientId ?? '';
    const context = { client: this.#client as never, ws, clientId, id, at: at as never };
    const outcomes = this.#handlers
      .of(`${type}/${action}`)
      .map((handler) => outcomeOf(() => handler(data as never, context)));
    for (const outcome of outcomes) void this.#reportFailure(outcome, id !== undefined);
    if (id !== undefined) void this.#answer(message, link, outcomes);
  }

  async #answer(message: ServerMessage, link: Link<S>, outcomes: Promise<Outcome>[]): Promise<void> {
    const frame = await answerTo(message, outcomes);
    try {
      if (link.isOpen) link.answer(frame);
    } catch (error) {
      this.#events.report(error);
      link.trySend(refusal(message, isA(error, PxlWebSocketError) ? new PeerError(error.code, error.message) : error));
    }
  }

  /** A handler refuses a request by throwing a PeerError. Any other error is a bug and is reported. */
  async #reportFailure(pending: Promise<Outcome>, isRequest: boolean): Promise<void> {
    const outcome = await pending;
    if ('error' in outcome && !(isRequest && isA(outcome.error, PeerError))) this.#events.report(outcome.error);
  }
}

/** Async for its catch: `run` itself is called at once, so handlers are called in the order of the frames. */
async function outcomeOf(run: () => unknown): Promise<Outcome> {
  try {
    return { value: await run() };
  } catch (error) {
    return { error };
  }
}

async function answerTo(message: ServerMessage, outcomes: Promise<Outcome>[]): Promise<object> {
  const { type, action, id } = message;
  if (outcomes.length === 0) return refusal(message, new UnknownRouteError(type, action));
  for (const pending of outcomes) {
    const outcome = await pending;
    if ('error' in outcome) return refusal(message, outcome.error);
    if (outcome.value !== undefined) return { type, action, id, response: outcome.value };
  }
  return { type, action, id, response: null };
}

function refusal(message: ServerMessage, thrown: unknown): ErrorFrame {
  const { type, action, id } = message;
  const told = isA(thrown, PeerError)
    ? { error: thrown.message, code: thrown.code, details: thrown.details }
    : { error: 'The client failed to handle this request.', code: ErrorCode.Internal };
  return errorFrame(told, { type, action, id });
}
