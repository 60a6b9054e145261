import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { systemClock } from '../../lib/clock.js';
import { inTime } from '../../lib/deadline.js';
import { overdue } from '../../lib/client/overdue.js';
import { PendingRequests } from '../../lib/pending-requests.js';
import { standStill } from '../support/stand-still.js';

/** On a thread of its own. It answers "ask" after 20 ms, also while this thread stands still. */
const SERVER = `
const { parentPort } = require('node:worker_threads');
const server = require('node:net').createServer((socket) =>
  socket.on('data', (data) => data.toString() === 'ask' && setTimeout(() => socket.write('answer'), 20)),
);
server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));
`;

let worker: Worker;
let socket: Socket;
beforeAll(async () => {
  worker = new Worker(SERVER, { eval: true });
  const [port] = (await once(worker, 'message')) as [number];
  socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
});
afterAll(async () => {
  socket.destroy();
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
      const pending = new PendingRequests(systemClock);
      return pending.ask('late:', ms, (id) => void answer.then((text) => pending.reply(id, text)));
    },
  ],
  ['the clock', (ms, answer) => unlessLate(systemClock.after, ms, answer)],
  ['the client', (ms, answer) => unlessLate(overdue, ms, answer)],
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
