/**
 * `@scpxl/nestjs-websocket`: the Nest module, the server, the decorators, and the client for Node.
 * @module server
 */
export {
  WebSocketClientBaseController,
  type WebSocketClientBaseControllerConstructorParams,
  WebSocketServerBaseController,
  type WebSocketServerBaseControllerConstructorParams,
} from './module/base-controllers.js';
export type { AuthOptions, JwtOptions } from './auth/auth-options.js';
export { type AuthenticatedUser, AuthenticationError, type WebSocketAuthenticator } from './auth/identity.js';
export type { Origins } from './auth/origins.js';
export { redactUrl, tokenOf, type TokenPlaces, type TokenSource } from './auth/tokens.js';
export type {
  ClientEventListener,
  ClientEventName,
  ClientState,
  WebSocketClientEvents,
} from './client/client-events.js';
export type { QueueOptions, ReconnectOptions, RequestOptions } from './client/client-options.js';
export type {
  ClientRoom,
  ClientRoomEvents,
  ClientRoomOptions,
  ClientRoomPresence,
  ClientRoomPresenceEvents,
  ClientRoomState,
  JoinRoomOptions,
  LoadedState,
  RoomPresenceOptions,
  RoomPublishOptions,
  RoomReset,
  RoomStart,
} from './client/client-room.js';
export { type NodeWebSocketClientOptions, WebSocketClient } from './client/websocket-client.js';
export {
  BadFrameError,
  ExpiredError,
  MessageTooLargeError,
  QueueFullError,
  ReportsLeftOutError,
  StreamOverflowError,
} from './client/client-errors.js';
export { HandshakeRefusedError } from './client/handshake-refused-error.js';
export type { BusCounters, BusState } from './cluster/bus-receiver.js';
export type { RedisInstanceLike, RedisSettings, RedisSource } from './cluster/redis-source.js';
export { ClientId, ConnectedClient, StreamSignal } from './decorators/connected-client.js';
export { ConnectionParam } from './decorators/connection-param.js';
export {
  type IdempotentOptions,
  WsGateway,
  type WsGatewayOptions,
  WsRoute,
  type WsRouteOptions,
} from './decorators/ws-route.js';
export { SkipGlobalGuards } from './decorators/skip-global-guards.js';
export { type ChannelMatcher, WsSubscribe, type WsSubscribeOptions } from './decorators/ws-subscribe.js';
export * from './errors.js';
export { adviceOf, type CloseAdvice, CloseCode } from './protocol/close-codes.js';
export type { Audience, BackpressureOptions, BackpressurePolicy } from './protocol/delivery.js';
export { ErrorCode } from './protocol/error-codes.js';
export { WebSocketRedisSubscriberEvent } from './protocol/events.js';
export type {
  ErrorFrame,
  ErrorFrameData,
  ReplyFrame,
  RequestId,
  RoomPosition,
  WebSocketMessage,
  WebSocketUser,
} from './protocol/message.js';
export { PxlWebSocketModule } from './module/pxl-websocket.module.js';
export type { WebSocketOptionsFactory } from './module/pxl-websocket.module-definition.js';
export type {
  WebSocketClientModuleAsyncOptions,
  WebSocketClientModuleOptions,
} from './client/nest/pxl-websocket-client.module.js';
export type { DatabaseInstance, QueueManager, RedisInstance, Resources } from './resources.js';
export { WebSocketRoomManager } from './clients/room-manager.js';
export type { ConnectOptions } from './admission/connect-options.js';
export type {
  AuthorizeJoin,
  AuthorizePresence,
  AuthorizePublish,
  JoinQuestion,
  PresenceAuthorizer,
  PresenceQuestion,
  PublishAuthorizer,
  PublishQuestion,
  RoomAuthorizer,
} from './routing/room-authorizer.js';
export type { HistoryRuleOptions } from './history/history-options.js';
export type { HistoryPage, HistoryQuery, Publication, PublishOptions, RoomPlaces } from './history/room-publisher.js';
export { EntryTooLargeError, KeyReusedError, LogUnavailableError, UnknownOutcomeError } from './history/log-errors.js';
export type { Appended, AppendOptions, LogEntry, LogRead, ReadOptions, RoomLog } from './history/room-log.js';
export type { PresenceRuleOptions } from './presence/presence-options.js';
export type { RoomPresence } from './presence/presence-frames.js';
export { PresenceDataTooLargeError, PresenceUnavailableError } from './presence/presence-errors.js';
export type { PresentUser } from './presence/room-view.js';
export { WebSocketUpgrade } from './admission/upgrade-context.js';
export { WebSocketClientManager } from './clients/client-manager.js';
export type { Disconnection } from './connection/connection-hooks.js';
export type { RemoteClient } from './clients/client-reference.js';
export { type SubscriberEvent, type WebSocketOptions, WebSocketServer } from './server.js';
export type { ServerState, ServerStatus } from './server-status.js';
export {
  getWebSocketClientManagerToken,
  getWebSocketRoomManagerToken,
  getWebSocketServerToken,
  getWebSocketServiceToken,
  InjectWebSocketClientManager,
  InjectWebSocketRoomManager,
  InjectWebSocketServer,
  InjectWebSocketService,
} from './module/server-tokens.js';
export {
  getWebSocketClientToken,
  InjectWebSocketClient,
  PXL_DATABASE,
  PXL_QUEUE_MANAGER,
  PXL_REDIS,
} from './module/tokens.js';
export type { ClientListOptions } from './options/client-list-options.js';
export type { LimitOptions, MessageRateOptions } from './options/limit-options.js';
export type { HeartbeatOptions, InactivityOptions } from './options/liveness-options.js';
export type { KeyOptions } from './options/key-options.js';
export type { MessageOptions } from './options/message-options.js';
export type { DeliveryOptions, DrainOptions, SlowClientOptions } from './options/outbound-options.js';
export type { RoomOptions } from './options/room-options.js';
export type { JoinRoom, WebSocketEvents } from './options/websocket-events.js';
export type {
  ClientSectionOptions,
  DebugOptions,
  RouteOptions,
  UserOptions,
  WebSocketRoute,
  WebSocketType,
} from './options/websocket-options.js';
export type { BackpressureCounters } from './outbound/flusher.js';
export type { SendOptions } from './protocol/delivery.js';
export type { RefusedHandshake, UpgradeRequest } from './auth/upgrade-request.js';
export { WebSocketService, type WebSocketServiceOptions } from './websocket.service.js';
export { PxlWsAdapter } from './module/ws-adapter.js';
