import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { WebSocket } from 'ws';
import type { BackpressureOptions } from '../protocol/delivery.js';
import type { WebSocketMessage, WebSocketUser } from '../protocol/message.js';
import type { PathParams } from '../protocol/path-pattern.js';

/** A connected client, as the managers and events hand it out. */
export interface ConnectedClient {
  readonly clientId: string;
  /** Null for a client that is connected to another node. */
  readonly ws: WebSocket | null;
  /** Milliseconds since the epoch of the last message or pong. */
  lastActivity: number;
  /** Where it is, as `trustProxy` believes it; undefined for a client of another node. Never shown to other clients. */
  readonly ip?: string | undefined;
  /** The parameters of the path it connected to; empty for a client of another node. Never shown to other clients. */
  readonly params: PathParams;
  /** Milliseconds from the last ping to its pong; undefined until the first one. Never shown to other clients. */
  readonly roundTripMs?: number | undefined;
  /** Who it is: from the handshake, or from `joinRoom()` on a server without authentication. */
  readonly user?: WebSocketUser | null;
  /** The room it joined last and is still in. */
  readonly roomName?: string | null;
  /** Every room it is in. */
  readonly rooms: string[];
  /**
   * Asks this client and resolves with its `response`.
   * @param options.timeoutMs how long to wait. @default 10_000
   * @throws {RemoteError} the client answered with an error frame
   * @throws {TimeoutError} no answer in time
   * @throws {ConnectionError} the client left first
   */
  request<T = unknown>(type: string, action: string, data?: unknown, options?: { timeoutMs?: number }): Promise<T>;
  /**
   * Sends this client a message, wherever it is connected. It says nothing about arrival.
   * @throws {InvalidMessageError} @throws {NotSerializableError}
   */
  send(message: WebSocketMessage, options?: BackpressureOptions): void;
  /** Sends what may be left out while this client doesn't keep up: the same as `send(message, { volatile: true })`. */
  readonly volatile: { send(message: WebSocketMessage): void };
  // Custom metadata, as updateClient() stores it: the application knows its types, this module doesn't.
  // oxlint-disable-next-line typescript/no-explicit-any
  [key: string]: any;
}

/** What the parameter decorators read: the third argument of every routed call. */
export interface RoutedCall {
  readonly clientId: string;
  readonly client: unknown;
  readonly signal: AbortSignal;
}

const routedCall = (context: ExecutionContext): RoutedCall => context.getArgByIndex<RoutedCall>(2);

/** Injects the `ConnectedClient` that sent the message; in a client's handler, the `WebSocketClient` that received it. */
export const ConnectedClient: () => ParameterDecorator = createParamDecorator(
  (_: unknown, context: ExecutionContext) => routedCall(context).client,
);

/**
 * Injects an `AbortSignal` that says when nobody waits for the answer any more: the asker cancelled (`system/cancel`), the
 * handler's time was over, or the client left. `signal.reason` says which. For generators and whatever else should stop then;
 * what waits for it is passed on as usual: `on(emitter, 'event', { signal })`, `fetch(url, { signal })`. It isn't aborted after
 * an answer was given.
 */
export const StreamSignal: () => ParameterDecorator = createParamDecorator(
  (_: unknown, context: ExecutionContext) => routedCall(context).signal,
);

/** Injects the client id of the sender. */
export const ClientId: () => ParameterDecorator = createParamDecorator(
  (_: unknown, context: ExecutionContext) => routedCall(context).clientId,
);
