// Proof that the load counts right: servers that drop, repeat or swap one frame of many must be found out.
import type { Count } from './load.js';
import { MEASURED, OTHERS, Worker } from './worker.js';

const MEMBERS = 20;
const FAULTS = ['none', 'drop', 'repeat', 'swap'] as const;

export interface Verdict {
  fault: (typeof FAULTS)[number];
  /** Frames too many, or too few. */
  surplus: number;
  disordered: number;
}

export async function verdictOn(fault: Verdict['fault']): Promise<Verdict> {
  const load = await Worker.start({ file: 'load.ts', core: OTHERS });
  const server = await Worker.start({ file: 'servers/faulty.ts', core: MEASURED, env: { BENCH_FAULT: fault } });
  try {
    await load.ask('connect', { port: server.port, dialect: 'plain', count: MEMBERS });
    await load.ask('count', { isConsecutive: true });
    const { published } = await server.ask<{ published: number }>('publish', { burst: 20, pauseMs: 1, forMs: 100 });
    const { received, disordered } = await load.ask<Count>('received', {
      total: published * MEMBERS,
      stalledMs: 2_000,
    });
    return { fault, surplus: received - published * MEMBERS, disordered };
  } finally {
    await Promise.all([load.stop(), server.stop()]);
  }
}

/** An open loop of 100 messages in a second. A server that stands still for 200 ms is late with every message of that time. */
export async function stalling(fault: 'none' | 'stall' | 'late stall'): Promise<{ published: number; p99: number }> {
  const load = await Worker.start({ file: 'load.ts', core: OTHERS });
  const server = await Worker.start({ file: 'servers/faulty.ts', core: MEASURED, env: { BENCH_FAULT: fault } });
  try {
    await load.ask('connect', { port: server.port, dialect: 'plain', count: MEMBERS });
    await load.ask('count', { isConsecutive: true, keepsLatency: true });
    const publishing = { perSecond: 100, pauseMs: 0, forMs: 1_000 };
    const { published } = await server.ask<{ published: number }>('publish', publishing);
    const { p99 } = await load.ask<Count>('received', { total: published * MEMBERS, stalledMs: 2_000 });
    return { published, p99: p99 as number };
  } finally {
    await Promise.all([load.stop(), server.stop()]);
  }
}

/** One line for each fault; a fault that stays unseen sets the exit code. */
export async function selfTest(): Promise<string[]> {
  const verdicts = await Promise.all(FAULTS.map(verdictOn));
  const [{ p99: calm }, { p99: stalled }] = [await stalling('none'), await stalling('stall')];
  const isStallSeen = stalled > 150 && stalled > 2 * calm;
  if (!isStallSeen) process.exitCode = 1;
  const stall = `${isStallSeen ? 'right' : 'WRONG'}: stall of 200 ms, p99 ${stalled.toFixed(0)} ms, without it ${calm.toFixed(0)} ms`;
  const lines = verdicts.map(({ fault, surplus, disordered }) => {
    const isSeen = surplus !== 0 || disordered > 0;
    const isRight = isSeen === (fault !== 'none');
    if (!isRight) process.exitCode = 1;
    return `${isRight ? 'right' : 'WRONG'}: ${fault}, ${surplus} frames more than expected, ${disordered} out of order`;
  });
  return [...lines, stall];
}
