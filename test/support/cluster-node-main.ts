import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type INestApplication, Injectable } from '@nestjs/common';
import { MessageBody } from '@nestjs/websockets';
import type { ConnectedClient, RoomPosition, ServerStatus, WebSocketOptions } from '../../lib/index.js';
import { WebSocketServer, WebSocketService, WsRoute, WsSubscribe } from '../../lib/index.js';
import { startApp } from './app.js';
import type { HistoryOrder } from './history-publisher.js';
import type { Publication } from './ledger-facts.js';
import type { Count, NodeAccount, Span } from './loss-accounts.js';

/** What a test says of a node; the rest is as in `startApp`. */
export interface NodeSettings {
  options: WebSocketOptions;
  /** Ioredis options of a Redis Cluster whose masters listen on these ports. */
  clusterPorts?: number[];
  /** Has no subscribers for events of users and clients. */
  isDeaf?: boolean;
  /** Looks all the time what it has counted, for `losses`. */
  looks?: boolean;
}

export interface KnownClient {
  clientId: string;
  isHere: boolean;
  userId: string | number | null;
  rooms: string[];
  metadata: Record<string, unknown>;
}

export interface HeardEvent {
  channel: string;
  message: unknown;
  at: number;
  /** By `subscriberEventHandler`, or by a `@WsSubscribe` method. */
  by: 'option' | 'method';
}

export interface NodeStatus extends ServerStatus {
  isListening: boolean;
  errors: string[];
  /** What the process takes of the machine's memory, in bytes. */
  rss: number;
}

export interface PublishOrder {
  publisher: string;
  rooms: string[];
  /** Left out: until `halt`. */
  count?: number;
  /** The first number. @default 1 */
  from?: number;
  /** Milliseconds between two; 0: as fast as it goes. */
  gapMs?: number;
  padding?: number;
}

export interface Commands {
  status(): NodeStatus;
  clients(): KnownClient[];
  members(roomName: string): string[];
  /** How many memberships this node knows, in all rooms. */
  memberships(): number;
  /** How many clients Redis knows of; -1 when it couldn't say of some. */
  fetched(): Promise<number>;
  /** Processor time that the process took, in ms. */
  cpuMs(): number;
  /** What is in use of its heap, in bytes, after a full collection. */
  heap(): number;
  heard(): HeardEvent[];
  /** What its slow handlers were called with. */
  runs(): string[];
  /** Publishes numbered messages for each room; the answer is its ledger. */
  publish(order: PublishOrder): Promise<Publication[]>;
  /** Ends every `publish` that is under way. */
  halt(): void;
  /** What it has counted as lost on the bus since the start, and when it wasn't ready. */
  losses(): Pick<NodeAccount, 'counts' | 'away'>;
  send(kind: 'all' | 'rooms' | 'clients' | 'users', names: string[], data: unknown, except?: string[]): Promise<void>;
  raise(channel: string, data: unknown): void;
  join(clientId: string, roomName: string): Promise<boolean>;
  leave(clientId: string, roomName: string): void;
  kick(clientId: string, code: number, reason: string): void;
  update(clientId: string, key: string, data: unknown): void;
  ask(clientId: string, data: unknown): Promise<unknown>;
  /** The newest place of a room that keeps what is published. */
  position(roomName: string): Promise<RoomPosition>;
  clearHistory(roomName: string): Promise<RoomPosition>;
  close(): Promise<void>;
}

export type ToNode = { id: number; command: keyof Commands; args: unknown[] };
export type FromNode =
  { created: true } | { port: number } | { failed: string } | { id: number; result?: unknown; error?: string };

const settings = JSON.parse(process.argv[2] ?? '{}') as NodeSettings;
const heard: HeardEvent[] = [];
const errors: Error[] = [];
let app: INestApplication | undefined;
let isListening = false;
let halts = 0;
/** How often the node looks what it has counted. */
const LOOK_MS = 50;
/** A message that isn't handed to Redis by then never is. */
const ANSWERED_MS = 6_000;

const server = (): WebSocketServer => (app as INestApplication).get(WebSocketServer);
const service = (): WebSocketService => (app as INestApplication).get(WebSocketService);
const tell = (message: FromNode): void => void process.send?.(message);

@Injectable()
class Listener {
  @WsSubscribe('shop:sale')
  onSale({ channel, message }: { channel: string; message: unknown }): void {
    heard.push({ channel, message, at: Date.now(), by: 'method' });
  }
}

/** Rooms that keep what is published: see `HistoryPublisher`. */
@Injectable()
class Press {
  @WsRoute('history', 'publish')
  publish(@MessageBody() { room, token, key, padding = 0 }: HistoryOrder): Promise<RoomPosition> {
    const data = { token, ...(padding > 0 && { pad: 'x'.repeat(padding) }) };
    return service().publishToRoom(room, { type: 'history', action: 'entry', data }, { key });
  }
}

const runs: string[] = [];

/** Handles each key once, and takes its time. */
@Injectable()
class Slow {
  @WsRoute('slow', 'work', { idempotent: true })
  @WsRoute('slow', 'workAgain', { idempotent: { rerun: true } })
  async work(@MessageBody() { name, holdMs = 0 }: { name: string; holdMs?: number }): Promise<object> {
    runs.push(name);
    if (holdMs > 0) await new Promise((resolve) => setTimeout(resolve, holdMs));
    return { name, pid: process.pid };
  }
}

const commands: Commands = {
  status: () => ({
    ...server().status,
    isListening,
    errors: errors.map(String),
    rss: process.memoryUsage().rss,
  }),
  clients: () => server().getClients().map(known),
  members: (roomName) => server().roomManager.getRoomClients({ roomName }),
  memberships: () => [...server().rooms.values()].reduce((sum, { size }) => sum + size, 0),
  fetched: async () => {
    const { clients, missing } = await server().fetchClients();
    return missing.length > 0 ? -1 : clients.length;
  },
  cpuMs: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1_000;
  },
  heap: () => {
    setFlagsFromString('--expose-gc');
    (runInNewContext('gc') as () => void)();
    return process.memoryUsage().heapUsed;
  },
  heard: () => heard,
  runs: () => runs,
  publish,
  halt: () => void halts++,
  losses: () => ({ counts, away }),
  send: (kind, names, data, except) => {
    const message = { type: 'news', action: 'flash', data };
    if (kind === 'all') return service().broadcast(message, { except });
    if (kind === 'rooms') return service().sendToRooms(names, message, { except });
    if (kind === 'users') return service().sendToUsers(names, message, { except });
    return service().sendToClients(names, message, { except });
  },
  raise: (channel, data) => server().publish({ channel, data }),
  join: (clientId, roomName) => server().joinRoom({ clientId, roomName }),
  leave: (clientId, roomName) => server().leaveRoom({ clientId, roomName }),
  kick: (clientId, code, reason) => server().clientManager.disconnectClient({ clientId, code, reason }),
  update: (clientId, key, data) => server().clientManager.updateClient({ clientId, key, data }),
  ask: (clientId, data) => {
    const client = server().clientManager.getClient({ clientId });
    return client
      ? client.request('quiz', 'question', data, { timeoutMs: 2_000 })
      : Promise.reject(new Error('unknown'));
  },
  position: (roomName) => service().position(roomName),
  clearHistory: (roomName) => service().clearHistory(roomName),
  close: () => (app as INestApplication).close(),
};

function known(client: ConnectedClient): KnownClient {
  const { clientId, ws, user, rooms } = client;
  const metadata = { username: client['username'], mood: client['mood'] };
  return { clientId, isHere: ws !== null, userId: user?.userId ?? null, rooms: [...rooms], metadata };
}

async function publish({ publisher, rooms, count = Infinity, from = 1, gapMs = 0, padding = 0 }: PublishOrder) {
  const published: Publication[] = [];
  const pad = 'x'.repeat(padding);
  const haltsBefore = halts;
  const isHalted = (): boolean => halts !== haltsBefore;
  const underWay = new Set<Promise<unknown>>();
  for (let n = from; n < from + count && !isHalted(); n++) {
    for (const room of rooms) {
      const publication: Publication = { publisher, room, n, at: Date.now() };
      published.push(publication);
      const data = { publisher, room, n, ...(pad && { pad }) };
      const sending = service()
        .sendToRooms([room], { type: 'ledger', action: 'entry', data })
        .catch(() => (publication.isRefused = true))
        .finally(() => underWay.delete(sending));
      underWay.add(sending);
    }
    if (gapMs > 0) await new Promise((resolve) => setTimeout(resolve, gapMs));
    else if (n % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.race([Promise.allSettled(underWay), new Promise((resolve) => setTimeout(resolve, ANSWERED_MS))]);
  return published;
}

const counts: Count[] = [];
const away: Span[] = [];
let lookedAt = Date.now();
let lostBefore = 0;
let wasAway = false;

/** Writes down what the node says of itself now. A busy machine only makes the time between two looks longer. */
function look(): void {
  const to = Date.now();
  const { state, counters } = server().status;
  const lost = counters.missing + counters.stale;
  const span = { from: lookedAt, to };
  if (lost > lostBefore) counts.push({ ...span, count: lost - lostBefore });
  const isAway = state !== 'ready';
  const last = wasAway ? away.at(-1) : undefined;
  if (last) last.to = to;
  else if (isAway) away.push(span);
  wasAway = isAway;
  lostBefore = lost;
  lookedAt = to;
}

process.on('message', ({ id, command, args }: ToNode) => {
  const run = commands[command] as (...given: unknown[]) => unknown;
  void Promise.resolve()
    .then(() => run(...args))
    .then(
      (result) => tell({ id, result }),
      (error: unknown) => tell({ id, error: String(error) }),
    );
});
process.on('disconnect', () => process.exit(1)); // the test is gone

async function redisCluster(ports: number[]): Promise<WebSocketOptions> {
  const { Cluster } = await import('ioredis');
  const redis = new Cluster(
    ports.map((port) => ({ host: '127.0.0.1', port })),
    { lazyConnect: true },
  );
  redis.on('error', () => undefined);
  return { redis };
}

try {
  await startApp({
    providers: [Listener, Press, Slow],
    options: {
      ...settings.options,
      ...(settings.clusterPorts && (await redisCluster(settings.clusterPorts))),
      auth: {
        required: false,
        authenticate: ({ url = '' }) => {
          const userId = new URL(url, 'ws://here').searchParams.get('userId');
          return userId === null ? null : { userId, payload: {} };
        },
      },
      ...(!settings.isDeaf && {
        subscriberEventHandler: ({ channel, message }) =>
          void heard.push({ channel, message, at: Date.now(), by: 'option' }),
      }),
      events: { onError: ({ error }) => void errors.push(error) },
    },
    configure: (created) => {
      app = created;
      created.enableShutdownHooks();
      tell({ created: true });
    },
  }).then(({ port }) => {
    isListening = true;
    if (settings.looks) setInterval(look, LOOK_MS);
    tell({ port });
  });
} catch (error) {
  tell({ failed: String(error) });
}
