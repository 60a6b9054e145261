import { WebSocketClientCore } from './client-core.js';
import type { ConnectTarget } from './client-options.js';

/**
 * The client for browsers, on the browser's own WebSocket. A refused handshake looks like any other failure there (1006):
 * browsers hide the HTTP status from pages.
 * @example
 * const client = new WebSocketClient({ url: '/ws' });
 * await client.connectToServer();
 * await client.joinRoom('lobby', { username: 'Ada' });
 */
export class WebSocketClient extends WebSocketClientCore<WebSocket> {
  protected override get baseUrl(): string | undefined {
    // Absent in runtimes without a page, which have a WebSocket all the same.
    return (globalThis as { location?: Location }).location?.href;
  }

  protected override createSocket({ url, protocols }: ConnectTarget): WebSocket {
    return new WebSocket(url, protocols);
  }
}

export { WebSocketClientCore } from './client-core.js';
export { BadFrameError, StreamOverflowError } from './client-errors.js';
export type { ClientState, WebSocketClientEvents } from './client-events.js';
export type {
  ConnectTarget,
  ReconnectOptions,
  RequestOptions,
  Source,
  WebSocketClientOptions,
} from './client-options.js';
export type { JoinedRoom } from './client-rooms.js';
export type { HandlerContext, RouteHandler } from './inbox.js';
export type { JoinRoomDetails } from './room-memory.js';
export type { SocketLike } from './socket-like.js';
export {
  ConnectionError,
  InvalidOptionsError,
  InvalidRouteError,
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
