import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

interface Pair {
  near: Socket;
  far: Socket | undefined;
}

/** Stands between a node and its Redis. `cut` ends everything, `blackhole` says nothing any more, `heal` mends both. */
export class TcpProxy {
  readonly #pairs = new Set<Pair>();
  #state: 'open' | 'cut' | 'blackhole' = 'open';
  /** Connections that were accepted, those included that were ended at once. */
  accepted = 0;
  /** Bytes from Redis. */
  received = 0;

  private constructor(
    private readonly server: Server,
    private readonly targetPort: number,
  ) {
    server.on('connection', (near) => this.#accept(near));
  }

  static async start(targetPort: number): Promise<TcpProxy> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TcpProxy(server, targetPort);
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Ends every connection, and each new one as it comes. */
  cut(): void {
    this.#state = 'cut';
    this.#endAll();
  }

  /** Accepts and says nothing: what is sent from now on waits on the way, in both directions. */
  blackhole(): void {
    this.#state = 'blackhole';
    for (const { near, far } of this.#pairs) {
      near.pause();
      far?.pause();
    }
  }

  /** All is well again. What waited in a black hole goes on its way, as it does when a route comes back. */
  heal(): void {
    this.#state = 'open';
    for (const pair of this.#pairs) {
      if (!pair.far) this.#join(pair);
      pair.near.resume();
      pair.far?.resume();
    }
  }

  async stop(): Promise<void> {
    this.cut();
    this.server.close();
    await once(this.server, 'close');
  }

  #accept(near: Socket): void {
    this.accepted++;
    near.on('error', () => near.destroy());
    if (this.#state === 'cut') return void near.destroy();
    const pair: Pair = { near, far: undefined };
    this.#pairs.add(pair);
    near.on('close', () => this.#end(pair));
    near.pause();
    if (this.#state === 'open') this.#join(pair);
  }

  #join(pair: Pair): void {
    const { near } = pair;
    const far = (pair.far = connect(this.targetPort, '127.0.0.1'));
    far.on('error', () => far.destroy());
    far.on('close', () => this.#end(pair));
    near.on('data', (data) => far.write(data));
    far.on('data', (data) => {
      this.received += data.length;
      near.write(data);
    });
    if (this.#state === 'open') near.resume();
    else far.pause();
  }

  #endAll(): void {
    for (const pair of this.#pairs) this.#end(pair);
  }

  #end(pair: Pair): void {
    this.#pairs.delete(pair);
    pair.near.destroy();
    pair.far?.destroy();
  }
}
