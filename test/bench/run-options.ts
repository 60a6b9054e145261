import { countOf, fileOf, flushOf, namesOf, parse } from './command-line.js';
import { PEER_NAMES, type PeerName } from './peers.js';
import { WORKLOADS } from './workloads.js';

const WORKLOAD_NAMES = Object.keys(WORKLOADS);

export const USAGE = `npm run bench -- [options]

  --only <workloads>   some of the workloads, with commas between them
  --against <servers>  some of the servers, with commas between them
  --rounds <count>     how often each is measured; the median counts (3; with --quick 1)
  --quick              short rounds: for a glance, not for figures
  --dist <file>        another build of this module: its dist/index.js
  --flush <json>       delivery.flush of this module: '"turn"' (usual), '"auto"' or '{"gapMs":5}'
  --self-test          does the load generator count right?
  --help               this text

Workloads: ${WORKLOAD_NAMES.join(', ')}
Servers: ${PEER_NAMES.join(', ')}`;

export interface RunOptions {
  only: string[];
  against: PeerName[];
  rounds: number;
  isQuick: boolean;
  /** The compiled module. Undefined: it is built first. */
  dist: string | undefined;
  flush: string;
  isSelfTest: boolean;
}

/** @throws {UsageError} */
export function optionsOf(args: string[]): RunOptions {
  const {
    only,
    against,
    rounds,
    quick,
    dist,
    flush,
    'self-test': isSelfTest,
  } = parse(args, {
    only: { type: 'string' },
    against: { type: 'string' },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    dist: { type: 'string' },
    flush: { type: 'string', default: '"turn"' },
    'self-test': { type: 'boolean', default: false },
  });
  return {
    only: namesOf('--only', only, WORKLOAD_NAMES),
    against: namesOf('--against', against, PEER_NAMES),
    rounds: countOf('--rounds', rounds, quick ? 1 : 3),
    isQuick: quick,
    dist: fileOf('--dist', dist),
    flush: flushOf(flush),
    isSelfTest,
  };
}
