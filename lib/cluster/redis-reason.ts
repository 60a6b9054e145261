import { errorOf } from '../protocol/thrown.js';

/** What a client may know about an error of Redis: no address, no script. */
export const redisReason = (error: unknown): string => {
  const [code] = /^[A-Z]{2,}\b/.exec(errorOf(error).message) ?? [];
  return code === undefined ? 'Redis did not answer' : `Redis answered ${code}`;
};
