import type { After } from '../pending-requests.js';

/**
 * Calls `task` after `ms`, when everything that came by then has been read. After a process stood still, its timers run before
 * its sockets are read, and an answer that is here would count as missing. In a page it is queued before a new timer.
 */
export const overdue: After = (ms, task) => {
  let timer = setTimeout(() => (timer = setTimeout(task)), ms);
  return () => clearTimeout(timer);
};
