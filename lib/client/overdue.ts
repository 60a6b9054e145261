/** Browsers have no `setImmediate`: what has come is queued there already, before a new timer. */
const { setImmediate: soon = queueMicrotask } = globalThis as { setImmediate?: (task: () => void) => unknown };

/**
 * Calls `task` after `ms`, when everything that came by then has been read. After a process stood still, its timers run before
 * its sockets are read: an answer that is here would count as missing.
 * @returns a function that cancels it
 */
export function overdue(ms: number, task: () => void): () => void {
  let isOff = false;
  const judge = (): unknown => isOff || task();
  const timer = setTimeout(() => setTimeout(() => soon(judge)), ms);
  return () => {
    isOff = true;
    clearTimeout(timer);
  };
}
