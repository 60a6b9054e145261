import { randomBytes, randomUUID } from 'node:crypto';

/** Random values, passed in so that tests can choose them. */
export interface Ids {
  /** The id of a node: 128 random bits for each start. Two hosts can share a pid or a worker number. */
  nodeId(): string;
  /** The part of a client id that differs within a node. */
  unique(): string;
  /** From 0 to 1. Spreads what many processes would do at the same time. */
  random(): number;
}

export const systemIds: Ids = {
  nodeId: () => randomBytes(16).toString('base64url'),
  unique: randomUUID,
  random: Math.random,
};
