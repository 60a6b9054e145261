import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { WebSocket } from 'ws';
import type { BackpressureOptions } from '../protocol/delivery.js';
import type { WebSocketMessage, WebSocketUser } from '../protocol/message.js';
import type { PathParams } from '../protocol/path-pattern.js';

/** A connected client, as managers and events give it. */
export interface ConnectedClient {
  /** The id of the connection. Each connection has a new one. */
  readonly clientId: string;
  /** Null for a client that is connected to another node. */
  readonly ws: WebSocket | null;
  /** Milliseconds since the epoch of the last message or pong. */
  lastActivity: number;
  /** The IP address, according to `trustProxy`; undefined for a client of another node. Never shown to other clients. */
  readonly ip?: string | undefined;
  /** The parameters of the path of its connection; empty for a client of another node. Never shown to other clients. */
  readonly params: PathParams;
  /** Milliseconds from the last ping to its pong; undefined until the first one. Never shown to other clients. */
  readonly roundTripMs?: number | undefined;
  /** The user: from the handshake, or from `joinRoom()` on a server without authentication. */
  readonly user?: WebSocketUser | null;
  /**
   * The id under which others see it in rooms with presence: its user's id where it authenticated, else one made of its session, else its
   * client id. Undefined for a client of another node.
   */
  readonly presenceId?: string | undefined;
  /** The room that it joined last and is still in. Null if it is in no room. */
  readonly roomName?: string | null;
  /** Every room that it is in. */
  readonly rooms: string[];
  /**
   * Sends this client a request, on whichever node it is, and resolves with its `response`.
   * @param options.timeoutMs milliseconds to wait. @default 10_000
   * @throws {RemoteError} the client answered with an error frame
   * @throws {TimeoutError} no answer in time
   * @throws {ConnectionError} the client left first
   */
  request<T = unknown>(type: string, action: string, data?: unknown, options?: { timeoutMs?: number }): Promise<T>;
  /**
   * Sends this client a message, on whichever node it is. Arrival isn't confirmed.
   * @throws {InvalidMessageError} @throws {NotSerializableError}
   */
  send(message: WebSocketMessage, options?: BackpressureOptions): void;
  /** Sends a message that may be dropped while this client is slow: the same as `send(message, { volatile: true })`. */
  readonly volatile: { send(message: WebSocketMessage): void };
  // Custom metadata, as updateClient() stores it. Only the application knows its types.
  // oxlint-disable-next-line typescript/no-explicit-any
  [key: string]: any;
}

/** The source of the parameter decorators: the third argument of every routed call. */
export interface RoutedCall {
  readonly clientId: string;
  readonly client: unknown;
  readonly signal: AbortSignal;
}

const routedCall = (context: ExecutionContext): RoutedCall => context.getArgByIndex<RoutedCall>(2);

/**
 * Injects the `ConnectedClient` that sent the message; in a handler of a client, the `WebSocketClient` that received it.
 */
export const ConnectedClient: () => ParameterDecorator = createParamDecorator(
  (_: unknown, context: ExecutionContext) => routedCall(context).client,
);

/**
 * Injects an `AbortSignal` that is aborted when nobody waits for the answer any more: the request was cancelled
 * (`system/cancel`), the handler's time is over, or the client left. `signal.reason` says which. Use it in generators and
 * wherever work should stop: `on(emitter, 'event', { signal })`, `fetch(url, { signal })`. It isn't aborted after the answer.
 */
export const StreamSignal: () => ParameterDecorator = createParamDecorator(
  (_: unknown, context: ExecutionContext) => routedCall(context).signal,
);

/** Injects the client id of the sender. */
export const ClientId: () => ParameterDecorator = createParamDecorator(
  (_: unknown, context: ExecutionContext) => routedCall(context).clientId,
);
