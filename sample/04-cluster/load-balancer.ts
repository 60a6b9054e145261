import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** One address for all nodes, as a load balancer in front of them: each connection goes to the next one that runs. */
export class LoadBalancer {
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #port = 0;

  constructor(host: string, nextPort: () => number | undefined) {
    this.#server = createServer({ noDelay: true }, (near) => {
      const port = nextPort();
      if (port === undefined) {
        near.destroy();
        return;
      }
      const far = connect({ port, host, noDelay: true });
      this.#join(near, far);
      this.#join(far, near);
    });
  }

  /** Known once it listens. */
  get port(): number {
    return this.#port;
  }

  async listen(host: string): Promise<void> {
    this.#server.listen(0, host);
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  #join(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on('error', () => undefined); // its close is what counts
    from.once('close', () => {
      this.#sockets.delete(from);
      to.destroySoon();
    });
    from.pipe(to);
  }
}
