import type { WebSocket } from 'ws';
import type { Connection } from './connection.js';
import type { ServerSocket } from './server-socket.js';

type Listener<A, B> = (this: WebSocket, first: A, second: B) => void;

/**
 * One listener for all sockets of a server; `this` is the socket. Its errors go to `failed`, because nobody above `ws` catches
 * them. Two parameters instead of a list, because it is called for every frame.
 */
export function onSocket<A, B = undefined>(
  work: (connection: Connection, first: A, second: B) => void,
  failed: (connection: Connection, error: unknown) => void,
): Listener<A, B> {
  return function onSocket(first, second) {
    const { connection } = this as ServerSocket;
    if (!connection) return;
    try {
      work(connection, first, second);
    } catch (error) {
      failed(connection, error);
    }
  };
}
