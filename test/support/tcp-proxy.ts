import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** Up: to Redis. */
type Direction = 'up' | 'down';
/** What a node uses a connection for, as it tells Redis (`ssubscriber`: of a Redis Cluster); anything else is unknown. */
export type Role = 'publisher' | 'subscriber' | 'ssubscriber' | 'unknown';

const ROLES: readonly Role[] = ['publisher', 'subscriber', 'ssubscriber', 'unknown'];

/** What happens to the bytes of connections with one role. */
interface Rule {
  held?: Direction | 'both';
  delayMs?: number;
  bytesPerSecond?: number;
}

/** More than this waits in the kernels, and then at the sender. */
const MAX_WAITING_BYTES = 1_048_576;
const SLICE_BYTES = 2_048;

/** One direction of a connection. */
class Way {
  readonly #waiting: { data: Buffer; due: number }[] = [];
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly from: Socket,
    private readonly to: Socket,
    private readonly rule: () => Rule & { isHeld: boolean },
  ) {}

  push(data: Buffer): void {
    this.#waiting.push({ data, due: Date.now() + (this.rule().delayMs ?? 0) });
    this.#bytes += data.length;
    if (this.#bytes > MAX_WAITING_BYTES) this.from.pause();
    this.pump();
  }

  pump(): void {
    if (this.#timer) return;
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      const { isHeld, bytesPerSecond } = this.rule();
      if (isHeld) return;
      if (next.due > Date.now()) return this.#pumpIn(next.due - Date.now());
      const data = bytesPerSecond ? next.data.subarray(0, SLICE_BYTES) : next.data;
      next.data = next.data.subarray(data.length);
      if (next.data.length === 0) this.#waiting.shift();
      this.#bytes -= data.length;
      this.to.write(data);
      if (this.#bytes <= MAX_WAITING_BYTES) this.from.resume();
      if (bytesPerSecond) return this.#pumpIn((1_000 * data.length) / bytesPerSecond);
    }
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#waiting.length = 0;
  }

  #pumpIn(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.pump();
    }, ms);
  }
}

interface Pair {
  near: Socket;
  far: Socket;
  role: Role;
  /** What it said first, until its role is known. */
  head: string;
  isDead: boolean;
  between: Between | undefined;
  ways: Record<Direction, Way>;
}

/** What one connection's bytes from Redis become. */
type Between = (data: Buffer) => Buffer;

/** Stands between a client and its server; of a node and its Redis it tells the connections apart. What is named for no role is for all. */
export class TcpProxy {
  readonly #pairs = new Set<Pair>();
  readonly #rules: Record<Role, Rule> = { publisher: {}, subscriber: {}, ssubscriber: {}, unknown: {} };
  #isCut = false;
  #cutAfter: { direction: Direction; bytes: number; done: () => void } | undefined;
  #reset: { isIt: (text: string, role: Role) => boolean; done: () => void } | undefined;
  /** Connections that were accepted, those included that were ended at once. */
  accepted = 0;
  /** Bytes from Redis. */
  received = 0;

  private constructor(
    private readonly server: Server,
    private readonly targetPort: number,
    private readonly between: (() => Between) | undefined,
  ) {
    server.on('connection', (near) => this.#accept(near));
  }

  /** @param between called for each connection that subscribes */
  static async start(targetPort: number, between?: () => Between): Promise<TcpProxy> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TcpProxy(server, targetPort, between);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** For what isn't a Redis. */
  get httpUrl(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Ends every connection, and each new one as it comes. */
  cut(): void {
    this.#isCut = true;
    for (const pair of this.#pairs) this.#end(pair);
  }

  /** Ends the connections there are with a reset; new ones work. */
  reset(...roles: Role[]): void {
    for (const pair of this.#of(roles)) this.#end(pair, 'reset');
  }

  /** Swallows the first thing a node says that fits, and resets its connection. Resolves when that has happened. */
  resetOn(isIt: (text: string, role: Role) => boolean): Promise<void> {
    return new Promise((done) => (this.#reset = { isIt, done }));
  }

  /** Lets so many more bytes pass in one direction, and then ends that connection. Resolves when that has happened. */
  cutAfter(bytes: number, direction: Direction): Promise<void> {
    return new Promise((done) => (this.#cutAfter = { direction, bytes, done }));
  }

  /** Forgets what `cutAfter()` was told. */
  cutNoMore(): void {
    this.#cutAfter = undefined;
  }

  /** Accepts and says nothing: what is sent from now on waits on the way, in both directions. */
  blackhole(): void {
    this.hold('both');
  }

  /** What is sent waits on its way, on connections of today and tomorrow. */
  hold(direction: Direction | 'both', ...roles: Role[]): void {
    this.#rule({ held: direction }, roles);
  }

  /** The connections there are say nothing any more, as when a firewall has forgotten them; new ones work. */
  deaden(...roles: Role[]): void {
    for (const pair of this.#of(roles)) pair.isDead = true;
  }

  delay(delayMs: number, ...roles: Role[]): void {
    this.#rule({ delayMs }, roles);
  }

  throttle(bytesPerSecond: number, ...roles: Role[]): void {
    this.#rule({ bytesPerSecond }, roles);
  }

  /** All is well again. What waited goes on its way, as it does when a route comes back; what is dead stays so. */
  heal(): void {
    this.#isCut = false;
    this.#rule({}, []);
  }

  async stop(): Promise<void> {
    this.cut();
    this.server.close();
    await once(this.server, 'close');
  }

  #rule(rule: Rule, roles: readonly Role[]): void {
    for (const role of roles.length > 0 ? roles : ROLES) this.#rules[role] = rule;
    for (const { ways } of this.#pairs) for (const way of Object.values(ways)) way.pump();
  }

  #of(roles: readonly Role[]): Pair[] {
    return [...this.#pairs].filter(({ role }) => roles.length === 0 || roles.includes(role));
  }

  #accept(near: Socket): void {
    this.accepted++;
    near.on('error', () => near.destroy());
    if (this.#isCut) return void near.destroy();
    const far = connect(this.targetPort, '127.0.0.1');
    far.on('error', () => far.destroy());
    const ruleOf = (direction: Direction) => () => {
      const rule = this.#rules[pair.role];
      return { ...rule, isHeld: pair.isDead || rule.held === 'both' || rule.held === direction };
    };
    const ways = { up: new Way(near, far, ruleOf('up')), down: new Way(far, near, ruleOf('down')) };
    const pair: Pair = { near, far, role: 'unknown', head: '', isDead: false, between: undefined, ways };
    this.#pairs.add(pair);
    for (const socket of [near, far]) {
      socket.setNoDelay();
      socket.on('close', () => this.#end(pair, 'closed'));
    }
    near.on('data', (data) => this.#up(pair, data));
    far.on('data', (data) => {
      this.received += data.length;
      if (this.between && pair.role.endsWith('subscriber')) pair.between ??= this.between();
      this.#push(pair, 'down', pair.between ? pair.between(data) : data);
    });
  }

  #up(pair: Pair, data: Buffer): void {
    if (pair.role === 'unknown' && pair.head.length < 4_096) {
      pair.head += data.toString('latin1');
      pair.role = ROLES.find((role) => pair.head.includes(`pxl-${role}`)) ?? 'unknown';
    }
    const reset = this.#reset;
    if (reset?.isIt(data.toString('latin1'), pair.role)) {
      this.#reset = undefined;
      this.#end(pair, 'reset');
      return reset.done();
    }
    this.#push(pair, 'up', data);
  }

  #push(pair: Pair, direction: Direction, data: Buffer): void {
    const cut = this.#cutAfter;
    if (cut?.direction !== direction || data.length < cut.bytes) {
      if (cut?.direction === direction) cut.bytes -= data.length;
      return pair.ways[direction].push(data);
    }
    this.#cutAfter = undefined;
    if (cut.bytes > 0) pair.ways[direction].push(data.subarray(0, cut.bytes));
    this.#end(pair, 'closed');
    cut.done();
  }

  #end(pair: Pair, how: 'cut' | 'closed' | 'reset' = 'cut'): void {
    if (!this.#pairs.delete(pair)) return;
    for (const socket of [pair.near, pair.far]) {
      if (how === 'reset' && !socket.destroyed) socket.resetAndDestroy();
      else if (how === 'closed')
        socket.destroySoon(); // what was said before still arrives
      else socket.destroy();
    }
    for (const way of Object.values(pair.ways)) way.end();
  }
}
