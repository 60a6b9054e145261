import { randomBytes } from 'node:crypto';

/** Random values, passed in so that tests can choose them. */
export interface Ids {
  /** The id of a node: 128 random bits for each start. Two hosts can share a pid or a worker number. */
  nodeId(): string;
  /** The part of a client id that differs within a node. */
  unique(): string;
  /** From 0 to 1. Spreads what many processes would do at the same time. */
  random(): number;
}

/** 22 characters: every change of a client names it, so each character counts. */
const random128 = (): string => randomBytes(16).toString('base64url');

export const systemIds: Ids = {
  nodeId: random128,
  unique: random128,
  random: Math.random,
};
