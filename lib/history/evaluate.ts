import { createHash } from 'node:crypto';
import type { ChainableCommander } from 'ioredis';
import type { RedisConnection } from '../cluster/redis-connections.js';
import { Deadline, TIMED_OUT, withinMs } from '../deadline.js';
import { errorOf } from '../protocol/thrown.js';
import { readAnswers } from './append-batches.js';

export type Arg = string | number;

/** A script, and the digest by which Redis knows it. */
export interface Script {
  readonly text: string;
  readonly digest: string;
}

export const scriptOf = (text: string): Script => ({ text, digest: createHash('sha1').update(text).digest('hex') });

/** Of a connection with options of its own. */
const READY_MS = 1_000;
const ANSWER_MS = 5_000;
/** A replica has so long to say that it has a publication. */
const REPLICATED_MS = 1_000;

/** An application may publish in the moment in which it made its connection. */
export async function becomeReady(redis: RedisConnection): Promise<void> {
  if (redis.status === 'ready') return;
  if (redis.status === 'wait') redis.connect().catch(() => undefined);
  let ready: (() => void) | undefined;
  await withinMs(READY_MS, new Promise<void>((resolve) => redis.once('ready', (ready = resolve))));
  if (ready) redis.off('ready', ready);
}

/** The connection may have no time limit. */
export async function inTime<T>(answer: Promise<T>): Promise<T> {
  const deadline = new Deadline(ANSWER_MS);
  const outcome = await deadline.race(answer).finally(() => deadline.cancel());
  if (outcome === TIMED_OUT) throw new Error(`Redis didn't answer within ${ANSWER_MS} ms`);
  return outcome;
}

/** Calls a script by its digest, and sends it whole where this Redis doesn't know it yet (https://redis.io/docs/latest/commands/evalsha). */
export async function evaluate(
  redis: RedisConnection,
  { digest, text }: Script,
  keys: readonly string[],
  args: readonly Arg[],
): Promise<unknown> {
  try {
    return await redis.evalsha(digest, keys.length, ...keys, ...args);
  } catch (error) {
    if (!isUnknownScript(error)) throw error;
    return redis.eval(text, keys.length, ...keys, ...args);
  }
}

/**
 * As `evaluate()` of appending, and then waits for a replica on the same connection: WAIT speaks of what this connection has
 * written (https://redis.io/docs/latest/commands/wait). In one pipeline, which a Redis Cluster gets on one of its nodes.
 */
export async function evaluateReplicated(
  redis: RedisConnection,
  { digest, text }: Script,
  keys: readonly string[],
  args: readonly Arg[],
): Promise<unknown> {
  const wait = async (pipeline: ChainableCommander): Promise<[unknown, number]> => {
    const [evaluated, waited] = (await pipeline.wait(1, REPLICATED_MS).exec()) ?? [];
    for (const [error] of [evaluated ?? [], waited ?? []]) if (error) throw error;
    return [evaluated?.[1], Number(waited?.[1])];
  };
  const run = async (): Promise<[unknown, number]> => {
    try {
      return await wait(redis.pipeline().evalsha(digest, keys.length, ...keys, ...args));
    } catch (error) {
      if (!isUnknownScript(error)) throw error;
      return wait(redis.pipeline().eval(text, keys.length, ...keys, ...args));
    }
  };
  const [answer, replicas] = await run();
  const isStored = readAnswers(answer as string).some(({ what }) => what !== 'reused');
  if (isStored && !(replicas >= 1)) throw new Error(`no replica had it within ${REPLICATED_MS} ms`);
  return answer;
}

const isUnknownScript = (error: unknown): boolean => errorOf(error).message.startsWith('NOSCRIPT');
