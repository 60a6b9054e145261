import type { WebSocket } from 'ws';
import type { Connection } from './connection.js';
import type { ServerSocket } from './server-socket.js';

type Listener<A, B> = (this: WebSocket, first: A, second: B) => void;

/**
 * A listener for the sockets of a server: one for all of them, told apart by `this`. What it throws goes to `failed` and no
 * further, because nobody above `ws` catches it. Two parameters and no list: it is called for every frame.
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
