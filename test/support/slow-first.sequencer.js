import TestSequencer from '@jest/test-sequencer';

// A fresh clone knows no durations, and Jest would begin with the longest files. One that takes a minute and began last
// would hold up the end, while the other cores have nothing to do. Those that wait alternate with those that compute.
const SLOW = [
  'package/generated-project',
  'presence/presence-faults',
  'cluster/burial',
  'presence/processes',
  'package/package',
  'samples/01-chat-page',
  'cluster/redis-trouble',
  'samples/04-cluster-page',
  'hostile/generated',
  'cluster/node-loss',
  'samples/accessibility',
  'connection/blackhole',
  'cluster/delivery',
  'hostile/independent',
  'samples/04-cluster',
  'history/rooms',
  'samples/05-queue-page',
  'idempotency/lost-keys',
  'client/browser',
  'cluster/bus-contract',
  'samples/03-node-client',
  'client/sending-cuts',
  'cluster/bulk',
  'hostile/made-up-names',
  'idempotency/node-loss',
  'samples/02-game-page',
  'history/redis-trouble',
  'cluster/registry-model',
  'cluster/foreign-keys',
  'history/model',
  'client/rejoin',
  'cluster/failover',
  'module/shutdown',
  'presence/model',
  'history/cluster-loss',
  'history/node-loss',
  'outbound/backpressure',
  'history/store-loss',
  'cluster/values',
  'presence/presence',
  'hostile/frames',
  'cluster/silence',
  'clients/client-list',
  'auth/jwt',
  'cluster/key-loss',
  'history/replicated',
  'cluster/master-loss',
  'bench/bench',
];

const placeOf = ({ path }) => {
  const place = SLOW.findIndex((name) => path.endsWith(`/${name}.test.ts`));
  return place === -1 ? SLOW.length : place;
};

export default class SlowFirst extends TestSequencer {
  sort(tests) {
    // oxlint-disable-next-line unicorn/no-array-sort -- this is Jest's own
    return super.sort(tests).toSorted((one, other) => placeOf(one) - placeOf(other));
  }
}
