// The load of a reconnect storm: a process of its own whose clients know where they were.
import { cpu, now } from './contract.js';
import { DIALECTS } from './dialects.js';
import { Latencies } from './latencies.js';
import { answerLines } from './lines.js';
import { LoadSocket } from './load-socket.js';
import { OurClient, SocketIoClient, type StormClient } from './storm-clients.js';

export interface StormConnecting {
  port: number;
  dialect: 'ours' | 'socketio';
  count: number;
  rooms: number;
  roomsEach: number;
}

export interface Storm {
  /** Milliseconds until the last was live. */
  ms: number;
  p50: number;
  p99: number;
  /** Clients that weren't given what they missed. */
  lost: number;
  cpuShare: number;
}

/** Below the backlog of the servers. */
const AT_ONCE = 2_000;

let port = 0;
let dialect: StormConnecting['dialect'] = 'ours';
let clients: StormClient[] = [];
let sockets: LoadSocket[] = [];

const open = (client: StormClient): Promise<LoadSocket> =>
  LoadSocket.open(port, { ...DIALECTS[dialect], greeted: (text) => client.hear(text) });

async function connect(given: unknown): Promise<null> {
  const { count, rooms, roomsEach, ...target } = given as StormConnecting;
  ({ port, dialect } = target);
  clients = Array.from({ length: count }, (_, n) => {
    const own = Array.from({ length: roomsEach }, (__, k) => `log${(n * roomsEach + k) % rooms}`);
    return dialect === 'ours' ? new OurClient(own) : new SocketIoClient(own);
  });
  for (let at = 0; at < count; at += 50) sockets.push(...(await Promise.all(clients.slice(at, at + 50).map(open))));
  return null;
}

/** All connections are gone at once. */
function cut(given: unknown): null {
  const { missed } = given as { missed: number };
  for (const socket of sockets) socket.close();
  sockets = [];
  for (const client of clients) client.expect(missed);
  return null;
}

/** Everybody comes back at once, and is done when it has what it missed. */
async function resume(): Promise<Storm> {
  const began = cpu();
  const latencies = new Latencies();
  const queue = [...clients];
  const run = async (): Promise<void> => {
    for (let client = queue.shift(); client; client = queue.shift()) {
      sockets.push(await open(client));
      latencies.add(now() - began.at);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, run));
  const ended = cpu();
  return {
    ms: ended.at - began.at,
    p50: latencies.quantile(0.5) as number,
    p99: latencies.quantile(0.99) as number,
    lost: clients.filter(({ isLost }) => isLost).length,
    cpuShare: (ended.cpuMs - began.cpuMs) / (ended.at - began.at),
  };
}

answerLines({ connect, cut, resume }, { port: 0, pid: process.pid });
