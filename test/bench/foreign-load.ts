import { cpus } from 'node:os';
import { pause } from './contract.js';

const LOOK_MS = 300;

/** How busy the machine is now, while nothing of the benchmark runs: 0 to 1 of all cores. */
export async function foreignLoad(): Promise<number> {
  const before = processorTime();
  await pause(LOOK_MS);
  const after = processorTime();
  return (after.busy - before.busy) / Math.max(1, after.all - before.all);
}

function processorTime(): { busy: number; all: number } {
  const times = cpus().map(({ times }) => times);
  const all = times.reduce((sum, { user, nice, sys, idle, irq }) => sum + user + nice + sys + idle + irq, 0);
  return { all, busy: all - times.reduce((sum, { idle }) => sum + idle, 0) };
}
