// A room that says who is in it, beside Socket.IO with its Redis adapter and what applications write themselves.
import type { TestRedis } from '../support/redis.js';
import type { Cpu } from './contract.js';
import type { Churn, Churning, Filling } from './presence-load.js';
import type { Stage } from './stage.js';

/** 1,000 members stay while ten a second join, and as many leave: processor time of a join, and what a member is told. */
export async function presence(stage: Stage, redis: TestRedis): Promise<void> {
  const [server, load] = await Promise.all([
    stage.server({ redis: redis.url, presence: true }),
    stage.started('presence-load.ts'),
  ]);
  const dialect = stage.peer === 'ours' ? 'ours' : 'socketio';
  const filling: Filling = { port: server.port, dialect, count: stage.ms(1_000, 100) };
  await load.ask('fill', filling);
  const churning: Churning = { perSecond: 10, forMs: stage.ms(3_000, 1_000) };
  await load.ask<Churn>('churn', churning); // compiles the code
  const before = await server.ask<Cpu>('cpu');
  const churn = await load.ask<Churn>('churn', { ...churning, forMs: stage.ms(10_000, 2_000) } satisfies Churning);
  const after = await server.ask<Cpu>('cpu');
  stage.record('presence join', ((after.cpuMs - before.cpuMs) * 1_000) / churn.joins, churn);
  const seconds = churn.ms / 1_000;
  stage.record('presence bytes', churn.bytes / seconds / 1_024, churn);
  stage.record('presence frames', churn.frames / seconds, churn);
}
