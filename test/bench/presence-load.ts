// The members of a room that says who is in it: some stay and count what they are told, others come and go.
import { cpu, now, pause } from './contract.js';
import { type Dialect, DIALECTS } from './dialects.js';
import { answerLines } from './lines.js';
import { LoadSocket } from './load-socket.js';

export interface Filling {
  port: number;
  dialect: 'ours' | 'socketio';
  count: number;
}

export interface Churning {
  /** Members that join each second; as many leave. */
  perSecond: number;
  forMs: number;
}

export interface Churn {
  joins: number;
  /** Of what one member that stays was told, on average. */
  bytes: number;
  frames: number;
  ms: number;
  /** Of one core, of this process. */
  cpuShare: number;
}

const AT_ONCE = 50;

const stayers: LoadSocket[] = [];
let told = { bytes: 0, frames: 0 };
let port = 0;
let dialect: Dialect = DIALECTS.ours;

async function fill(given: unknown): Promise<null> {
  const filling = given as Filling;
  port = filling.port;
  dialect = DIALECTS[filling.dialect];
  for (let at = 0; at < filling.count; at += AT_ONCE) {
    const wave = Array.from({ length: Math.min(AT_ONCE, filling.count - at) }, () => enter());
    stayers.push(...(await Promise.all(wave)));
  }
  for (const socket of stayers)
    socket.traffic = {
      frame: (_socket, _bytes, _start, size) => {
        told.bytes += size;
        told.frames++;
      },
    };
  return null;
}

/** Connects and joins. Resolves with the answer to that. */
async function enter(): Promise<LoadSocket> {
  const socket = await LoadSocket.open(port, dialect);
  const { joinPresent = '', joinedPresent = '' } = dialect;
  const joined = new Promise<void>((resolve) => {
    socket.traffic = {
      frame: (_socket, bytes, start, size) => {
        if (bytes.toString('latin1', start, start + Math.min(size, 100)).includes(joinedPresent)) resolve();
      },
    };
  });
  socket.say(joinPresent);
  await joined;
  return socket;
}

async function churn(given: unknown): Promise<Churn> {
  const { perSecond, forMs } = given as Churning;
  told = { bytes: 0, frames: 0 };
  const started = cpu();
  const guests: LoadSocket[] = [];
  let joins = 0;
  while (now() < started.at + forMs) {
    for (; joins < ((now() - started.at) * perSecond) / 1_000; joins++) {
      void enter().then((guest) => guests.push(guest));
      if (guests.length > perSecond) guests.shift()?.close();
    }
    await pause(5);
  }
  const ended = cpu();
  const ms = ended.at - started.at;
  const { bytes, frames } = told;
  for (const guest of guests) guest.close();
  await pause(500);
  const each = Math.max(1, stayers.length);
  return { joins, bytes: bytes / each, frames: frames / each, ms, cpuShare: (ended.cpuMs - started.cpuMs) / ms };
}

answerLines({ fill, churn, cpu }, { port: 0, pid: process.pid });
