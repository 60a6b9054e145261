import { randomBytes, randomUUID } from 'node:crypto';

/** Chance, as a part is given it: a simulation puts its own in the place of the system's. */
export interface Ids {
  /** The id of a node: 128 bits, new at each boot. Never a pid or a worker number, which two hosts share. */
  nodeId(): string;
  /** What tells a client from the others of its node. */
  unique(): string;
  /** From 0 to 1: spreads what many would do at once. */
  random(): number;
}

export const systemIds: Ids = {
  nodeId: () => randomBytes(16).toString('base64url'),
  unique: randomUUID,
  random: Math.random,
};
