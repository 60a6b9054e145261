import { randomBytes, randomUUID } from 'node:crypto';

/** Random values, as a part gets them by its constructor. Tests pass their own. */
export interface Ids {
  /** The id of a node: 128 random bits for each start. Two hosts can share a pid or a worker number. */
  nodeId(): string;
  /** The part of a client id that differs within a node. */
  unique(): string;
  /** A UUID. Made faster than `unique()`, and longer. */
  uuid(): string;
  /** From 0 to 1. Spreads what many processes would do at the same time. */
  random(): number;
}

/** 22 characters: every change of a client names it, so each character counts. */
const random128 = (): string => randomBytes(16).toString('base64url');

/** Those of the process. Only `lib/system.ts` passes them on. */
export const systemIds: Ids = {
  nodeId: random128,
  unique: random128,
  uuid: () => randomUUID(),
  random: Math.random,
};
