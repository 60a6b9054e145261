import TestSequencer from '@jest/test-sequencer';

// A fresh clone knows no durations, and Jest would begin with the longest files. One that takes a minute and began last
// would hold up the end, while the other cores have nothing to do. Those that wait alternate with those that compute.
const SLOW = [
  'cluster/burial',
  'package/generated-project',
  'cluster/node-loss',
  'package/package',
  'cluster/redis-trouble',
  'hostile/generated',
  'connection/blackhole',
  'samples/accessibility',
  'client/rejoin',
  'samples/01-chat-page',
  'module/shutdown',
  'samples/04-cluster-page',
  'history/redis-trouble',
  'cluster/registry-model',
  'history/cluster-loss',
  'history/model',
  'history/node-loss',
  'samples/02-game-page',
  'cluster/failover',
  'history/store-loss',
  'clients/client-list',
  'outbound/backpressure',
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
