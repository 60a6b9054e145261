// Servers that get one frame wrong: the load must see it.
import type { Socket } from 'node:net';
import { FIRST_SEQ, serve } from '../contract.js';
import { startNetServer, type WriteTo } from './net-server.js';

const FAULTY_MEMBER = 3;
const FAULTY_SEQ = FIRST_SEQ + 7;

/** One message comes so late: an early one, or one of the last. */
const STALL_MS = 200;
const STALLS: Record<string, number> = { stall: FAULTY_SEQ, 'late stall': FIRST_SEQ + 90 };

let held: Buffer | undefined;
const faults: Record<string, (socket: Socket, frame: Buffer) => void> = {
  drop: () => undefined,
  repeat: (socket, frame) => void socket.write(Buffer.concat([frame, frame])),
  swap: (_socket, frame) => (held = frame),
};

const writeTo: WriteTo = (socket, frame, member, { seq }) => {
  const fault = faults[process.env['BENCH_FAULT'] ?? ''];
  if (fault && member === FAULTY_MEMBER && seq === FAULTY_SEQ) return fault(socket, frame);
  socket.write(frame);
  if (held && member === FAULTY_MEMBER) {
    socket.write(held);
    held = undefined;
  }
};

const server = await startNetServer(writeTo);
const publish: typeof server.publish = (room, news) => {
  if (STALLS[process.env['BENCH_FAULT'] ?? ''] === news.seq) {
    const until = performance.now() + STALL_MS;
    while (performance.now() < until);
  }
  return server.publish(room, news);
};

await serve(async () => ({ ...server, publish }));
