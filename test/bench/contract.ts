// What every measured server does besides serving: it takes commands as lines of JSON on stdin and answers on stdout.
import { answerLines } from './lines.js';

/** The room of the workloads that need only one. */
export const ROOM = 'bench';
/** Sequence numbers have ten digits from the first on, so that every frame of a server has the same length. */
export const FIRST_SEQ = 1_000_000_000;
/** Makes a frame of about 200 bytes. */
export const TEXT = 'x'.repeat(110);

/** The room that says who is in it, and what a member says of itself. */
export const PEOPLE = 'people';
export const PERSON = { name: 'Ada Lovelace', avatar: '/avatars/0123456789.png' };

/** Publications of a room that are kept. */
export const HISTORY_SIZE = 500;

export interface News {
  seq: number;
  /** When it was published: microseconds since 1970, sixteen digits. */
  at: number;
  text: string;
}

/** Written on the command line of the server's process as JSON. */
export interface ServerSettings {
  /** Be a node of a cluster on this Redis. */
  redis?: string;
  /** Keep what is published to the rooms that this fits, e.g. `bench*`: the newest `HISTORY_SIZE`. Socket.IO: of all rooms. */
  history?: string;
  /** Have a room `PEOPLE`. */
  presence?: boolean;
}

export interface MeasuredServer {
  port: number;
  /** One message to everybody in the room. */
  publish(room: string, news: News): unknown;
  /** Commands that only this server has. */
  commands?: Record<string, (params: unknown) => unknown>;
}

export interface Publishing {
  /** Messages go to these in turn. @default the one room */
  rooms?: string[];
  /** Messages published in one go. @default 1 */
  burst?: number;
  /** Milliseconds of rest after each burst. @default 1 */
  pauseMs?: number;
  /** As many messages as are due at this rate go in one burst. All that are due within `forMs` are published, however late. */
  perSecond?: number;
  /** Goes on until this many milliseconds have passed, for one burst at least. */
  forMs: number;
  /** Bytes of text in each message. @default 110 */
  textBytes?: number;
}

export interface Cpu {
  /** Milliseconds, user and system time, all threads. */
  cpuMs: number;
  /** Milliseconds on the wall. */
  at: number;
}

export const now = (): number => performance.timeOrigin + performance.now();
export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export function cpu(): Cpu {
  const { user, system } = process.cpuUsage();
  return { cpuMs: (user + system) / 1_000, at: now() };
}

/** Runs a server's process: everything but the way its library is used. */
export async function serve(start: (settings: ServerSettings) => Promise<MeasuredServer>): Promise<void> {
  const server = await start(JSON.parse(process.argv[2] ?? '{}') as ServerSettings);
  let seq = FIRST_SEQ;
  const publish = async (given: unknown): Promise<{ published: number }> => {
    const { rooms = [ROOM], burst = 1, pauseMs = 1, perSecond, forMs, textBytes } = given as Publishing;
    const text = textBytes === undefined ? TEXT : 'x'.repeat(textBytes);
    const began = now();
    const first = seq;
    const last = first + (perSecond ? Math.ceil((forMs * perSecond) / 1_000) : 0);
    do {
      const sent: unknown[] = [];
      const due = perSecond ? Math.min(last, first + ((now() - began) * perSecond) / 1_000) - seq : burst;
      for (let n = 0; n < due; n++) {
        const room = rooms[seq % rooms.length] as string;
        // A server that falls behind its pace is late from when the message was due.
        const at = perSecond ? began + ((seq - first) * 1_000) / perSecond : now();
        sent.push(server.publish(room, { seq: seq++, at: Math.round(at * 1_000), text }));
      }
      await Promise.all(sent);
      await new Promise(setImmediate); // what a server writes at the end of the turn is written now
      await pause(pauseMs);
    } while (now() < began + forMs || seq < last);
    return { published: seq - first };
  };
  answerLines({ ...server.commands, publish, cpu, memory, resident }, { port: server.port, pid: process.pid });
}

/** After a full collection, in bytes. */
async function memory(): Promise<{ rss: number }> {
  const bun = (globalThis as { Bun?: { gc(force: boolean): void } }).Bun;
  for (let n = 0; n < 3; n++) {
    if (bun) bun.gc(true);
    else globalThis.gc?.();
    await pause(50);
  }
  return resident();
}

const resident = (): { rss: number } => ({ rss: process.memoryUsage.rss() });
