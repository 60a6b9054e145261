import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/**
 * HTTP sockets without a request. `server.close()` waits for those that never sent one, or only half of one
 * (`closeIdleConnections()` ignores them), and would delay the end of the application.
 */
export class IdleSockets {
  readonly #idle = new Set<Duplex>();
  readonly #forget = forgetting(this.#idle);

  constructor(private readonly httpServer: HttpServer) {
    httpServer.on('connection', this.#connected);
    httpServer.on('request', this.#requested);
  }

  /** Closes them and stops watching. */
  destroy(): void {
    this.release();
    for (const socket of this.#idle) socket.destroy();
    this.#idle.clear();
  }

  /** Stops watching. */
  release(): void {
    this.httpServer.off('connection', this.#connected);
    this.httpServer.off('request', this.#requested);
  }

  readonly #connected = (socket: Duplex): void => {
    this.#idle.add(socket);
    socket.once('close', this.#forget);
  };

  readonly #requested = ({ socket }: IncomingMessage, response: ServerResponse): void => {
    this.#idle.delete(socket);
    response.once('close', () => {
      if (!socket.destroyed) this.#idle.add(socket);
    });
  };

  /** An upgrade: from now on the socket belongs to its new owner. */
  upgraded(socket: Duplex): void {
    this.#idle.delete(socket);
    socket.off('close', this.#forget);
  }
}

/** One function for all sockets. `this` is the socket, so there is no closure for each. */
function forgetting(idle: Set<Duplex>): (this: Duplex) => void {
  return function forget(this: Duplex) {
    idle.delete(this);
  };
}
