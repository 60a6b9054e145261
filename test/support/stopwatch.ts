import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** How long a test waits for what has to come. It goes on as soon as that has come: only a test that fails takes so long. */
export const PATIENCE_MS = 20_000;

/** The processes that the tests of this file started, and that live. */
const children = new Set<number>();

/** From now on a stopwatch takes note of how this process is kept waiting, too. */
export function watchProcess(child: ChildProcess): void {
  const { pid } = child;
  if (pid === undefined) return;
  children.add(pid);
  child.once('exit', () => children.delete(pid));
}

/** How long the main thread of a process was ready to run and had no processor, in all. 0 where the kernel doesn't say. */
function keptWaitingMs(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[1]) / 1e6;
  } catch {
    return 0; // it has ended, or this isn't Linux
  }
}

const TICK_MS = 10;

/** How long the host of this machine ran other machines, though a processor of this one had work to do. */
function stolenMs(): number {
  try {
    return Number(readFileSync('/proc/stat', 'utf8').split(/\s+/, 9)[8]) * TICK_MS;
  } catch {
    return 0;
  }
}

/**
 * Measures what the product promises in time. While the machine ran others, though this process or one it started was ready
 * to run, or its host ran other machines, the product could do nothing: that time doesn't count. On an idle machine it is the
 * time of day.
 */
export class Stopwatch {
  readonly #began = performance.now();
  readonly #stolenMs = stolenMs();
  readonly #before = new Map([process.pid, ...children].map((pid) => [pid, keptWaitingMs(pid)]));

  get ms(): number {
    return Math.max(0, this.#dayMs - this.lostMs);
  }

  /** What doesn't count, in ms. */
  get lostMs(): number {
    let lostMs = stolenMs() - this.#stolenMs;
    for (const pid of [process.pid, ...children])
      lostMs += Math.max(0, keptWaitingMs(pid) - (this.#before.get(pid) ?? 0));
    return lostMs;
  }

  /** True once so much time is over. However busy the machine is, it comes true. */
  isOver(promisedMs: number): boolean {
    const dayMs = this.#dayMs;
    return dayMs >= promisedMs && (dayMs >= promisedMs + PATIENCE_MS || this.ms >= promisedMs);
  }

  get #dayMs(): number {
    return performance.now() - this.#began;
  }
}
