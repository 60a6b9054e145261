import { once } from 'node:events';
import { createRequire } from 'node:module';
import { connect, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { systemClock } from '../../lib/clock.js';
import { inTime } from '../../lib/deadline.js';
import { WebSocketClient } from '../../lib/client/websocket-client.js';
import { askOnce, PendingRequests } from '../../lib/pending-requests.js';
import { standStill } from '../support/stand-still.js';

/** On a thread of its own. It answers "ask", and requests of a client, after 20 ms, also while this thread stands still. */
const SERVER = `
const { parentPort, workerData } = require('node:worker_threads');
const net = require('node:net').createServer((socket) =>
  socket.on('data', (data) => data.toString() === 'ask' && setTimeout(() => socket.write('answer'), 20)),
);
const sockets = new (require(workerData).WebSocketServer)({ host: '127.0.0.1', port: 0 });
sockets.on('connection', (ws) => {
  ws.send(JSON.stringify({ type: 'system', action: 'connected', data: { clientId: 'one' } }));
  ws.on('message', (data) => {
    const { id, type, action } = JSON.parse(data);
    setTimeout(() => ws.send(JSON.stringify({ id, type, action, response: 'answer' })), 20);
  });
});
net.listen(0, '127.0.0.1', () => parentPort.postMessage([net.address().port, sockets.address().port]));
`;

let worker: Worker;
let socket: Socket;
let client: WebSocketClient;
beforeAll(async () => {
  worker = new Worker(SERVER, { eval: true, workerData: createRequire(import.meta.url).resolve('ws') });
  const [ports] = (await once(worker, 'message')) as [[number, number]];
  socket = connect(ports[0], '127.0.0.1');
  client = new WebSocketClient({ url: `ws://127.0.0.1:${ports[1]}`, reconnect: false });
  await Promise.all([once(socket, 'connect'), client.connectToServer()]);
});
afterAll(async () => {
  socket.destroy();
  client.disconnect();
  await worker.terminate();
});

const late = (): Error => new Error('late');

const unlessLate = (
  after: (ms: number, task: () => void) => () => void,
  ms: number,
  answer: Promise<unknown>,
): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const cancel = after(ms, () => reject(late()));
    void answer.then((text) => {
      cancel();
      resolve(text);
    });
  });

/** The waits of this module, each for an answer that the socket brings. */
const WAITS: [string, (ms: number, answer: Promise<unknown>) => Promise<unknown>][] = [
  ['a deadline', (ms, answer) => inTime(systemClock, ms, answer, late)],
  [
    'a request',
    (ms, answer) => {
      const pending = new PendingRequests(systemClock.after);
      return askOnce(pending, 'late:', ms, (id) => void answer.then((text) => pending.find(id)?.answer(text, true)));
    },
  ],
  ['the clock', (ms, answer) => unlessLate(systemClock.after, ms, answer)],
];

describe.each(WAITS)('what came in time while this process stood still, for %s', (_name, wait) => {
  const answer = async (): Promise<string> => ((await once(socket, 'data')) as [Buffer])[0].toString();

  it('is not late', async () => {
    const outcome = wait(300, answer());
    socket.write('ask');
    setImmediate(standStill, 600); // from there, timers come before the socket
    expect(await outcome).toBe('answer');
  });

  it('but what never comes is', async () => {
    const nothing = new Promise<never>(() => undefined);
    const keepsAlive = setInterval(() => undefined, 1_000);
    await expect(wait(10, nothing)).rejects.toThrow(/late/);
    clearInterval(keepsAlive);
  });
});

it('an answer that came to a client in Node while its process stood still is not late', async () => {
  const answer = client.request('a', 'b', undefined, { timeoutMs: 300 });
  setImmediate(standStill, 600);
  expect(await answer).toBe('answer');
});
