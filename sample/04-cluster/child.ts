import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** Starts another entry of a sample as a process of its own, with the environment it gets besides ours. */
export function startChild(script: URL, env: Record<string, string>): ChildProcess {
  return fork(fileURLToPath(script), {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    // A process group of its own: Ctrl+C is for the parent, which decides in what order things stop.
    detached: true,
  });
}

/** The first message of a child, by which it says that it is ready. */
export function firstMessage<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    child.once('message', (message) => resolve(message as T));
    child.once('error', reject);
    child.once('exit', (code, signal) =>
      reject(new Error(`The process ended (${signal ?? code}) before it was ready.`)),
    );
  });
}

/** Resolves once the process is gone: on its own after SIGTERM, or after `patienceMs` with SIGKILL. */
export async function endChild(child: ChildProcess, patienceMs: number): Promise<void> {
  if (hasEnded(child)) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), patienceMs);
  await exited;
  clearTimeout(timer);
}

export const hasEnded = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null;

/** In the child: a parent that is gone without a word takes it along. */
export function followParent(): void {
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
}
