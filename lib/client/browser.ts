/**
 * `@scpxl/nestjs-websocket/client`: the client for browsers, Bun, Deno and React Native.
 * @module client
 */
import { InvalidOptionsError } from '../errors.js';
import { WebSocketClientCore } from './client-core.js';
import type { ConnectTarget } from './client-options.js';
import { keepSession } from './page-session.js';

/**
 * The client for browsers, on the browser's own WebSocket. A refused handshake looks like any other failure there (1006):
 * browsers hide the HTTP status from pages.
 * @example
 * const client = new WebSocketClient({ url: '/ws' });
 * await client.connectToServer();
 * await client.joinRoom('lobby', { username: 'Ada' });
 */
export class WebSocketClient<Events extends object = object> extends WebSocketClientCore<WebSocket, Events> {
  protected override newSession(): string {
    return keepSession(super.newSession());
  }

  protected override createSocket({ url, protocols, token }: ConnectTarget): WebSocket {
    return new WebSocket(url, token ? withToken(protocols, token) : protocols);
  }
}

/** A page can't set headers, so the token goes as a second protocol. The server chooses one of the others. */
function withToken(protocols: string[], token: string): string[] {
  if (!/^[\w.~!#$%&'*+^`|-]+$/.test(token)) {
    throw new InvalidOptionsError(["token can't be a protocol."]);
  }
  return [...(protocols.length > 0 ? protocols : ['pxl']), `bearer.${token}`];
}

export { WebSocketClientCore } from './client-core.js';
export {
  BadFrameError,
  ExpiredError,
  MessageTooLargeError,
  QueueFullError,
  ReportsLeftOutError,
  StreamOverflowError,
} from './client-errors.js';
export type { ClientEventListener, ClientEventName, ClientState, WebSocketClientEvents } from './client-events.js';
export type {
  ConnectTarget,
  QueueOptions,
  ReconnectOptions,
  RequestOptions,
  Source,
  WebSocketClientOptions,
} from './client-options.js';
export type {
  ClientRoom,
  ClientRoomEvents,
  ClientRoomOptions,
  ClientRoomPresence,
  ClientRoomPresenceEvents,
  ClientRoomState,
  JoinedRoom,
  JoinRoomDetails,
  JoinRoomOptions,
  LoadedState,
  RoomPresenceOptions,
  RoomPublishOptions,
  RoomReset,
  RoomStart,
} from './client-room.js';
export type { PresentUser, RoomPosition } from '../protocol/message.js';
export type { DataOf } from './event-map.js';
export type { HandlerContext, RouteHandler } from './inbox.js';
export type { SocketLike } from './socket-like.js';
export {
  ConnectionError,
  InvalidOptionsError,
  InvalidRouteError,
  InvalidStateError,
  NotSerializableError,
  PeerError,
  PxlWebSocketError,
  RemoteError,
  RoomNameInvalidError,
  TimeoutError,
} from '../errors.js';
export { adviceOf, CloseCode } from '../protocol/close-codes.js';
export type { CloseAdvice } from '../protocol/close-codes.js';
export { ErrorCode } from '../protocol/error-codes.js';
export type { WebSocketMessage } from '../protocol/message.js';
