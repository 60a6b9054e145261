import type { ChainableCommander } from 'ioredis';
import type { RedisConnection } from '../cluster/redis-connections.js';
import { type Arg, isUnknownScript, type Script } from '../cluster/redis-script.js';
import { inTime, type Timer, withinMs } from '../deadline.js';
import { readAnswers } from './append-batches.js';
import { UnknownOutcomeError } from './log-errors.js';

/** Of a connection with options of its own. */
const READY_MS = 1_000;
const ANSWER_MS = 5_000;
/** A replica has so long to say that it has a publication. */
const REPLICATED_MS = 1_000;
const NO_REPLICA = `no replica had it within ${REPLICATED_MS} ms`;

/** An application may publish before its new connection is ready. */
export async function becomeReady(redis: RedisConnection, clock: Timer): Promise<void> {
  if (redis.status === 'ready') return;
  if (redis.status === 'wait') redis.connect().catch(() => undefined);
  let ready: (() => void) | undefined;
  await withinMs(clock, READY_MS, new Promise<void>((resolve) => redis.once('ready', (ready = resolve))));
  if (ready) redis.off('ready', ready);
}

/** The connection may have no time limit. */
export const answered = <T>(answer: Promise<T>, clock: Timer): Promise<T> =>
  inTime(clock, ANSWER_MS, answer, () => new Error(`Redis didn't answer within ${ANSWER_MS} ms`));

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
    if (evaluated?.[0]) throw evaluated[0];
    // It is stored by now: whatever Redis has against waiting is no refusal.
    if (waited?.[0]) throw new UnknownOutcomeError(NO_REPLICA, undefined, waited[0]);
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
  if (isStored && !(replicas >= 1)) throw new UnknownOutcomeError(NO_REPLICA);
  return answer;
}
