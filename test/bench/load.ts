// The load generator: a process of its own that opens the sockets, makes the requests and counts what comes.
import { cpu, type Cpu, FIRST_SEQ, now, pause, ROOM } from './contract.js';
import { Counter, type Counting } from './counter.js';
import { type Dialect, DIALECTS } from './dialects.js';
import { answerLines } from './lines.js';
import { LoadSocket, Template, type Traffic } from './load-socket.js';

const STALLED_MS = 5_000;

export interface Connecting {
  port: number;
  dialect: keyof typeof DIALECTS;
  count: number;
  /** Each socket joins one of them, in turn. @default the one room; empty: none */
  rooms?: string[];
  /** Sockets that connect at the same time. @default 50 */
  atOnce?: number;
}

export interface Count {
  received: number;
  /** Messages that came out of order, twice, or after one that is missing. */
  disordered: number;
  /** Of all sequence numbers, counted from `FIRST_SEQ`. */
  sum: number;
  /** Milliseconds until the last expected message came. */
  ms: number;
  /** Of one core, of this process. */
  cpuShare: number;
  p50?: number;
  p99?: number;
}

let dialect: Dialect = DIALECTS.plain;
let sockets: LoadSocket[] = [];
/** Those that have stopped reading. */
let slow: LoadSocket[] = [];
let started: Cpu = cpu();

let counter = new Counter();

/** Keeps `depth` requests of each socket under way. */
class Asker implements Traffic {
  answered = 0;
  isOver = false;
  readonly #counter: Counter;

  constructor(
    private readonly template: Template,
    private readonly done: () => void,
  ) {
    this.#counter = new Counter({ isConsecutive: true });
  }

  get disordered(): number {
    return this.#counter.disordered;
  }

  ask(socket: LoadSocket, count: number): void {
    socket.write(this.template.frames(FIRST_SEQ + socket.asked, count));
    socket.asked += count;
  }

  frame(socket: LoadSocket, bytes: Buffer, start: number, size: number): void {
    const before = this.#counter.received;
    this.#counter.frame(socket, bytes, start, size);
    if (this.#counter.received > before) socket.pending++;
  }

  /** As many new requests as answers came, in one write, as a pipelining client would. */
  read(socket: LoadSocket): void {
    const count = socket.pending;
    socket.pending = 0;
    this.answered += count;
    if (!this.isOver && count > 0) this.ask(socket, count);
    if (this.isOver && this.answered === sockets.reduce((sum, { asked }) => sum + asked, 0)) this.done();
  }
}

async function connect(given: unknown): Promise<null> {
  const { port, dialect: name, count, rooms = [ROOM], atOnce = 50 } = given as Connecting;
  dialect = DIALECTS[name];
  const from = sockets.length;
  for (let at = 0; at < count; at += atOnce) {
    const wave = Array.from({ length: Math.min(atOnce, count - at) }, () => LoadSocket.open(port, dialect));
    sockets.push(...(await Promise.all(wave)));
  }
  const fresh = sockets.slice(from);
  if (rooms.length > 0) {
    const wishes = fresh.map((socket, index) => [socket, rooms[index % rooms.length] as string] as const);
    await joined(wishes, 200);
  }
  return null;
}

/** The sockets join, so many at a time, each acknowledged. */
async function joined(wishes: (readonly [LoadSocket, string])[], atOnce: number): Promise<void> {
  for (let at = 0; at < wishes.length; at += atOnce) {
    const acks = wishes.slice(at, at + atOnce).map(([socket, room]) => {
      const ack = new Promise<void>((resolve) => {
        socket.traffic = {
          frame: (_socket, bytes, start, size) => {
            if (bytes.toString('latin1', start, start + size).includes('"join')) resolve();
          },
        };
      });
      socket.say(dialect.join(room));
      return ack;
    });
    await Promise.all(acks);
  }
}

/** Every socket joins `perSocket` of `rooms` rooms, one after the other. */
async function join(given: unknown): Promise<{ joins: number }> {
  const { prefix, rooms, perSocket } = given as { prefix: string; rooms: number; perSocket: number };
  let next = 0;
  for (let n = 0; n < perSocket; n++) {
    await joined(
      sockets.map((socket) => [socket, `${prefix}${next++ % rooms}`] as const),
      200,
    );
  }
  return { joins: next };
}

function count(given: unknown): null {
  counter = new Counter(given as Counting);
  for (const socket of sockets) {
    socket.last = 0;
    socket.traffic = counter;
  }
  started = cpu();
  return null;
}

async function received(given: unknown): Promise<Count> {
  const { total, stalledMs } = given as { total: number; stalledMs?: number };
  await counter.until(total, stalledMs);
  const ended = cpu();
  await pause(30); // what came twice would come now
  const { disordered, sum, latencies } = counter;
  return {
    received: counter.received,
    disordered,
    sum,
    ...share(ended),
    p50: latencies.quantile(0.5),
    p99: latencies.quantile(0.99),
  };
}

const share = (ended: Cpu): { ms: number; cpuShare: number } => {
  const ms = ended.at - started.at;
  return { ms, cpuShare: (ended.cpuMs - started.cpuMs) / ms };
};

/** To a bare handler, to one with a guard, or to one that runs once for each key; `unordered`: with keys before earlier ones. */
export type RequestKind = 'plain' | 'guarded' | 'keyed' | 'unordered';

/** The first half of a UUID of version 7. */
const run = (time: number): string => time.toString(16).padStart(12, '0').replace(/^.{8}/, '$&-');

/** Requests and replies for so long, `depth` at a time on each socket. */
async function ask(given: unknown): Promise<Count> {
  const { depth, forMs, kind = 'plain' } = given as { depth: number; forMs: number; kind?: RequestKind };
  let done = (): void => undefined;
  const over = new Promise<void>((resolve) => (done = resolve));
  const { request, guardedRequest, keyedRequest = '' } = dialect;
  const texts = {
    plain: request,
    guarded: guardedRequest,
    keyed: keyedRequest.replace('RUN', run(Date.now())),
    unordered: keyedRequest.replace('RUN', run(2 ** 48 - Date.now())),
  };
  const asker = new Asker(new Template(texts[kind]), done);
  started = cpu();
  for (const socket of sockets) {
    Object.assign(socket, { last: 0, asked: 0, pending: 0, traffic: asker });
    asker.ask(socket, depth);
  }
  await pause(forMs);
  asker.isOver = true;
  await Promise.race([over, pause(STALLED_MS)]);
  const asked = sockets.reduce((sum, socket) => sum + socket.asked, 0);
  const disordered = asker.disordered + asked - asker.answered;
  return { received: asker.answered, disordered, sum: 0, ...share(cpu()) };
}

/** Waves of `atOnce` members that publish one message each; the next begins when everybody has all of this one. */
async function chat(given: unknown): Promise<Count & { said: number }> {
  const { atOnce, forMs } = given as { atOnce: number; forMs: number };
  const template = new Template(dialect.say);
  count({ isUnordered: true } satisfies Counting);
  let said = 0;
  while (now() - started.at < forMs) {
    for (let n = 0; n < atOnce; n++, said++) {
      sockets[said % sockets.length]?.write(template.frames(FIRST_SEQ + said, 1));
    }
    const before = counter.received;
    await counter.until(said * sockets.length);
    if (counter.received < said * sockets.length && counter.received === before) break;
  }
  const result = await received({ total: said * sockets.length });
  const expected = ((said * (said - 1)) / 2) * sockets.length;
  return { ...result, ms: result.ms, disordered: result.sum === expected ? 0 : 1, said };
}

/** The first `count` sockets read nothing more. */
function stopReading(given: unknown): null {
  const { count } = given as { count: number };
  slow = count > 0 ? sockets.splice(-count) : []; // those that came last
  for (const socket of slow) socket.stopReading();
  return null;
}

/** Of those that had stopped: how many the server has closed. */
async function goOnReading(): Promise<{ closed: number }> {
  for (const socket of slow) {
    socket.traffic = { frame: () => undefined };
    socket.goOnReading();
  }
  await pause(2_000);
  return { closed: slow.filter(({ isClosed }) => isClosed).length };
}

function close(): null {
  for (const socket of sockets) socket.close();
  sockets = [];
  return null;
}

const commands = { connect, join, count, received, ask, chat, stopReading, goOnReading, close, cpu };
answerLines(commands, { port: 0, pid: process.pid });
