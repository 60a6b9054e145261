import type { WebSocket, WebSocketServer as WS } from 'ws';
import type { RefusedHandshake, UpgradeRequest } from '../auth/upgrade-request.js';
import type { DatabaseInstance, QueueManager, RedisInstance } from '../resources.js';
import type { PathParams } from '../protocol/path-pattern.js';
import { CALLBACK } from './checks.js';
import type { Table } from './option-table.js';

/** Puts the new client into a room: an argument of `events.onConnected`. */
export type JoinRoom = (params: {
  userId?: string | number;
  userType?: string;
  username?: string;
  roomName: string;
}) => Promise<boolean>;

/** Callbacks. Their results are ignored. An error of a callback goes to `onError`. */
export interface WebSocketEvents {
  /** The server accepts connections. `webSocketServer` is the server of `ws`. */
  onServerStarted?: (params: { webSocketServer: WS }) => unknown;
  /** A client connected. Its messages wait until the returned promise resolves. A rejection closes the connection. */
  onConnected?: (params: {
    ws: WebSocket;
    clientId: string;
    joinRoom: JoinRoom;
    /** The HTTP upgrade request; only on the server. */
    request?: UpgradeRequest;
    /** The parameters of the path; empty if the path has none. */
    params: PathParams;
  }) => unknown;
  /** A client disconnected. */
  onDisconnected?: (params: { clientId?: string; code?: number; reason?: string }) => unknown;
  /** Called for every valid message, before its handler. Not awaited. */
  onMessage?: (params: {
    ws: WebSocket;
    clientId: string;
    data: { type: string; action: string; data: unknown };
    redisInstance: RedisInstance;
    queueManager: QueueManager;
    databaseInstance: DatabaseInstance;
  }) => unknown;
  /**
   * A handshake was refused: because of its origin, by `auth`, a guard or a limit, or because it was malformed.
   * `server.status.refused` counts refused handshakes, and the log has one line a minute for each code.
   */
  onRefused?: (params: RefusedHandshake) => unknown;
  /**
   * An error that no caller could receive. Without this callback, errors are logged. At most 10 errors of one place in 10 seconds
   * are reported one by one.
   */
  onError?: (params: {
    error: Error;
    /** Where, e.g. the route `chat/send`, or `events.onMessage`. */
    place: string;
    /** How many errors of this place were left out before this one. Usually 0. */
    leftOut: number;
  }) => unknown;
}

export const EVENTS = {
  onServerStarted: { check: CALLBACK },
  onConnected: { check: CALLBACK },
  onDisconnected: { check: CALLBACK },
  onMessage: { check: CALLBACK },
  onRefused: { check: CALLBACK },
  onError: { check: CALLBACK },
} satisfies Table<WebSocketEvents>;
