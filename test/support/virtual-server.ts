import { createServer } from 'node:http';
import { duplexPair } from 'node:stream';
import { WebSocketServer } from '../../lib/index.js';
import type { WebSocketOptions } from '../../lib/server.js';
import type { System } from '../../lib/system.js';
import { ManualClock } from './manual-clock.js';
import { Peer, type PeerOptions } from './peer.js';

/** Turns of the event loop after each timer, for what it wrote. */
const SETTLING_TURNS = 3;

/** How finely it is seen how long a stop takes. */
const STEP_MS = 100;

/** A whole server whose time passes when a test says so. Its clients are connected in memory, by HTTP and `ws` as ever. */
export class VirtualServer {
  readonly clock = new ManualClock(SETTLING_TURNS);
  readonly server: WebSocketServer;
  readonly #http = createServer();

  private constructor(options: WebSocketOptions, seed: number) {
    const system: System = { clock: this.clock, ids: seededIds(seed) };
    this.server = new WebSocketServer(options, { system });
  }

  /** @param seed the same one gives the same ids and random numbers */
  static async start(options: WebSocketOptions = {}, seed = 1): Promise<VirtualServer> {
    const virtual = new VirtualServer({ clientList: false, ...options }, seed);
    await virtual.server.load();
    await virtual.server.start({ httpServer: virtual.#http });
    return virtual;
  }

  /** Resolves with `system/connected`. */
  connect(options: PeerOptions = {}): Promise<Peer> {
    const createConnection = (): never => {
      const [near, far] = duplexPair();
      near.once('close', () => far.destroy());
      far.once('close', () => near.destroy());
      this.#http.emit('connection', far);
      return near as never;
    };
    return Peer.open('ws://memory/ws', { ...options, createConnection });
  }

  /** Stops it, as long as that takes. @returns how long it took, in its own milliseconds */
  async stop(): Promise<number> {
    const began = this.clock.now();
    const stopping = this.server.stop();
    const passing = (): Promise<unknown> => Promise.race([stopping.then(() => true), this.clock.pass(STEP_MS)]);
    while (!(await passing()));
    return this.clock.now() - began;
  }
}

/** Random numbers that are the same each time (mulberry32). */
function seededIds(seed: number): System['ids'] {
  let state = seed;
  const random = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  let made = 0;
  const next = (): string => String(++made).padStart(22, '0');
  return { nodeId: next, unique: next, uuid: next, random };
}
