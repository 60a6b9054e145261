// `npm run test:soak -- --minutes 5 --seed 1`: three nodes, clients that come and go, random faults, a ledger of rooms and one of
// rooms that keep what is published.
import { parseArgs } from 'node:util';
import { type ClusterNode, Fleet } from '../support/cluster-node.js';
import { HistoryScene, READER } from '../support/history-scene.js';
import { complaints, Ledger } from '../support/ledger.js';
import type { Peer } from '../support/peer.js';
import { TestRedis } from '../support/redis.js';
import { join, leave, listenTo, publishing } from '../support/scribe.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';

const ROOMS = ['red', 'green', 'blue'];
const CLIENTS_PER_NODE = 5;
const { values } = parseArgs({ options: { minutes: { type: 'string' }, seed: { type: 'string' } } });
const minutes = Number(values.minutes ?? 2);
const seed = Number(values.seed ?? Date.now() % 100_000);
console.info(`${minutes} minutes with seed ${seed}`);

// However this ends, the last line says how: also when a signal ends it, or nothing is left to wait for.
const startedAt = Date.now();
let doing = 'starting';
let outcome = 'ended before its time';
const secondsSoFar = (): number => Math.round((Date.now() - startedAt) / 1_000);
process.on('exit', (code) =>
  console.info(`soak with seed ${seed}: ${outcome} after ${secondsSoFar()} s (exit code ${code}; last: ${doing})`),
);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => {
    outcome = `ended by ${signal}`;
    void cleanUp().finally(() => process.exit(1));
  });

/** The same numbers for the same seed (mulberry32). */
let state = seed;
function random(): number {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}
const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
const nameOf = (index: number): string => `node${index}`;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Member {
  peer: Peer;
  node: ClusterNode;
  rooms: Set<string>;
}

const redis = await TestRedis.start();
const proxies = await Promise.all([0, 1, 2].map(() => TcpProxy.start(redis.port)));
const fleet = new Fleet(
  () => ({}),
  () => ({ looks: true }),
);
const rooms = { history: [{ match: 'chat:*', checkMs: 2_000 }] };
const nodes = await Promise.all(proxies.map(({ url }) => fleet.start({ redis: url, rooms })));
const ledger = new Ledger();
const members: Member[] = [];
/** Everybody who was ever connected to each node. */
const clientsOf = new Map(nodes.map((node) => [node, new Set<string>()]));
const faults: Record<string, number> = {};
let slowest = 0;

async function connect(node: ClusterNode): Promise<void> {
  const peer = await node.connect();
  listenTo(peer, ledger);
  clientsOf.get(node)?.add(peer.clientId);
  members.push({ peer, node, rooms: new Set() });
}

/** One client comes, goes, joins or leaves. */
async function churn(): Promise<void> {
  const member = pick(members);
  const room = pick(ROOMS);
  if (random() < 0.1) {
    members.splice(members.indexOf(member), 1);
    for (const joined of member.rooms) ledger.left(member.peer.clientId, joined, Date.now(), Infinity);
    member.peer.terminate();
    await connect(member.node);
  } else if (member.rooms.delete(room)) await leave(member.peer, ledger, room);
  else {
    member.rooms.add(room);
    await join(member.peer, ledger, room);
  }
}

/** One that keeps its place breaks off, or leaves a room and comes back to it. */
async function churnKept(scene: HistoryScene): Promise<void> {
  const member = pick(scene.members);
  if (random() < 0.7) return member.cut();
  const room = pick(scene.rooms);
  const since = member.client.positionOf(room);
  if (!since || !member.client.isClientConnected()) return;
  await member.leave(room).catch(() => undefined);
  for (let isIn = false; !isIn;) {
    isIn = await member.join(room, random() < 0.5 ? { since } : { tail: 5 }).then(
      () => true,
      () => false,
    );
    if (!isIn) await pause(500);
  }
}

/** The node knows these clients, and no others but readers, who come and go as they like. */
async function knows(node: ClusterNode, peers: readonly Peer[]): Promise<boolean> {
  const known = (await node.call('clients')).filter(({ userId }) => userId !== READER).map(({ clientId }) => clientId);
  const wanted = peers.map(({ clientId }) => clientId);
  return known.toSorted().join() === wanted.toSorted().join();
}

async function fault(): Promise<void> {
  const proxy = pick(proxies);
  const kinds: Record<string, () => Promise<void>> = {
    cut: async () => {
      proxy.cut();
      await pause(random() * 3_000);
      proxy.heal();
    },
    blackhole: async () => {
      proxy.blackhole();
      await pause(random() * 12_000);
      proxy.heal();
    },
    restart: async () => {
      await redis.kill();
      await pause(random() * 3_000);
      await redis.start();
    },
    freezeRedis: async () => {
      redis.freeze();
      await pause(random() * 12_000);
      redis.thaw();
    },
    clientKill: async () => void (await redis.run('CLIENT', 'KILL', 'TYPE', pick(['normal', 'pubsub']))),
  };
  const kind = pick(Object.keys(kinds));
  faults[kind] = (faults[kind] ?? 0) + 1;
  doing = kind;
  await (kinds[kind] as () => Promise<void>)();
  const healed = Date.now();
  const peers = members.map(({ peer }) => peer);
  await Promise.all(
    nodes.map(async (node) => {
      await until(async () => (await node.state()) === 'ready', 10_000);
      await until(() => knows(node, peers), 10_000);
    }),
  );
  slowest = Math.max(slowest, Date.now() - healed);
}

// Also where it hangs.
setInterval(() => console.info(`${secondsSoFar()} s, ${doing}: ${JSON.stringify(faults)}`), 60_000).unref();

let failed = false;
let scene: HistoryScene | undefined;

async function cleanUp(): Promise<void> {
  redis.thaw();
  scene?.stop();
  await fleet.stop();
  await Promise.all(proxies.map((proxy) => proxy.stop()));
  await redis.stop();
}

try {
  for (const node of nodes) for (let n = 0; n < CLIENTS_PER_NODE; n++) await connect(node);
  const halts = nodes.map((node, index) =>
    publishing(node, ledger, { publisher: nameOf(index), rooms: ROOMS, gapMs: 10 }),
  );
  scene = await HistoryScene.on(nodes, { gapMs: 20 });
  const end = Date.now() + minutes * 60_000;
  while (Date.now() < end) {
    doing = 'clients come and go';
    for (let n = 0; n < 30; n++) await churn();
    await Promise.all([churnKept(scene), fault()]);
    await pause(random() * 1_000);
  }
  doing = 'checking the ledgers';
  await Promise.all(halts.map((halt) => halt()));
  await pause(1_000);
  const accounts = nodes.map(async (node, index) => ({
    publisher: nameOf(index),
    clients: clientsOf.get(node) as Set<string>,
    ...(await node.call('losses')),
  }));
  const report = ledger.check({ staleAfterMs: 8_000, nodes: await Promise.all(accounts) });
  const found = complaints(report);
  failed = Object.keys(found).length > 0;
  console.info({
    seed,
    expected: report.expected,
    received: report.received,
    excused: report.excused,
    faults,
    slowest,
  });
  for (const [what, which] of Object.entries(found)) console.error(what, which.length, which.slice(0, 10));
  const { wrong } = await scene.judge('rooms that keep what is published');
  failed ||= Object.keys(wrong).length > 0;
  for (const [what, which] of Object.entries(wrong)) console.error(what, which.length, which.slice(0, 10));
  for (const node of nodes) console.info((await node.call('status')).counters);
} catch (error) {
  failed = true;
  console.error(`seed ${seed}:`, error);
}
doing = 'ending the processes';
outcome = failed ? 'failed' : 'passed';
await cleanUp();
process.exit(failed ? 1 : 0);
