import type { Followed } from '../clients/followed.js';
import { Channels } from '../cluster/channels.js';
import { ForeignKeys } from '../cluster/foreign-keys.js';
import type { RedisSource } from '../cluster/redis-source.js';
import { guarded } from '../guarded.js';
import { readAnnouncement } from '../history/announcement.js';
import { Announcements } from '../history/announcements.js';
import { FenceCheck, type Fenced } from '../history/fence-check.js';
import { LogConnection } from '../history/log-connection.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import type { LocalDelivery } from '../outbound/local-delivery.js';
import type { System } from '../system.js';
import { MemoryPresenceStore } from './memory-presence-store.js';
import { NodeShares } from './node-shares.js';
import { NodeSigns } from './node-signs.js';
import { Presence } from './presence.js';
import { type PresenceRule, PresenceRules } from './presence-options.js';
import type { PresenceStore } from './presence-store.js';
import { RedisPresenceStore } from './redis-presence-store.js';
import { RoomViews } from './room-views.js';
import { Steps } from '../steps.js';

/** Presence, and what runs between the start and the stop of its server. */
export interface People {
  readonly presence: Presence;
  /** Takes a message of the bus. @returns false if it is no announcement */
  heard(room: string, text: string): boolean;
  /** The bus is back. */
  catchUp(): void;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface PeopleParts {
  options: Pick<ResolvedOptions, 'presence' | 'redis' | 'prefix'>;
  followed: Followed;
  local: Pick<LocalDelivery, 'toClient' | 'sessionOf'>;
  /** Raises an event on every node. */
  emit(event: string, message: object): Promise<unknown>;
  readonly system: System;
  failed(error: unknown, place: string): void;
}

const SWEEP_MS = 60_000;
/** The first letter of an announcement. */
const USERS = 'U';

const FENCED: Fenced = {
  place: 'presence',
  unfenced:
    'Redis refuses INFO to this user, so nobody notices at once that a restart or a failover lost who is in a room: members may ' +
    'see users that have left, or miss some. Add the rule "+info" to its ACL.',
};

type Failed = PeopleParts['failed'];
type Kept = { store: PresenceStore; signs: NodeSigns | undefined } & Pick<People, 'start' | 'stop'>;

/** @returns undefined without rooms with presence */
export function composePresence({ options, followed, local, emit, system, failed }: PeopleParts): People | undefined {
  const rules = new PresenceRules(options.presence);
  if (rules.isEmpty) return undefined;
  const { redis, prefix } = options;
  const { clock, ids } = system;
  const nodeId = ids.uuid();
  const announcements = new Announcements();
  const { store, signs, ...kept } =
    redis === undefined
      ? memoryStore(announcements, emit, failed, system)
      : redisStore(redis, prefix, nodeId, failed, system);
  const graceMsOf = (room: string): number => (rules.of(room) as PresenceRule).graceMs;
  const shares = new NodeShares({ nodeId, store, signs, clock, graceMsOf, failed });
  const views = new RoomViews({
    rules,
    store,
    clock,
    local,
    follow: (room, heard) => announcements.follow(followed, room, heard),
    lost: (room) => shares.find(room)?.sayAll(),
    failed,
  });
  const presence = new Presence({ rules, store, shares, views, local, steps: new Steps(clock, failed), clock });
  return {
    presence,
    heard(room, text) {
      const said = readAnnouncement(text, USERS);
      if (said) announcements.say(room, said);
      return said !== undefined;
    },
    catchUp: () => views.catchUp(),
    async start() {
      await kept.start();
      views.start();
      shares.start();
    },
    async stop() {
      await presence.settled();
      views.stop();
      await shares.stop();
      await kept.stop();
    },
  };
}

function memoryStore(
  announcements: Announcements,
  emit: PeopleParts['emit'],
  failed: Failed,
  { clock, ids }: System,
): Kept {
  const store = new MemoryPresenceStore({
    newEpoch: () => ids.uuid(),
    now: () => clock.now(),
    raise: (event, message) => void emit(event, message),
    announce: (room, said) => announcements.say(room, said),
  });
  let stopSweeping: (() => void) | undefined;
  return {
    store,
    signs: undefined,
    async start() {
      stopSweeping = clock.every(
        SWEEP_MS,
        guarded('old presences', failed, () => store.sweep()),
      );
    },
    async stop() {
      stopSweeping?.();
      store.clear();
    },
  };
}

function redisStore(redis: RedisSource, prefix: string, nodeId: string, failed: Failed, system: System): Kept {
  const fence = new FenceCheck(prefix, FENCED, failed);
  const connection = new LogConnection(redis, 'presence', system, failed, 'the connection of presence', (opened) =>
    fence.run(opened),
  );
  let known: Channels | undefined;
  // The number of the database is known once there is a connection.
  const channels = (): Channels => (known ??= new Channels(prefix, connection.database));
  const foreign = new ForeignKeys(
    () => connection.open,
    (error) => failed(error, 'presence'),
  );
  const store = new RedisPresenceStore({
    connection: () => connection.open,
    foreign,
    prefix,
    channelOf: (name) => channels().interest({ kind: 'log', name }),
    eventsChannel: () => channels().people,
    newEpoch: () => system.ids.uuid(),
  });
  return {
    store,
    signs: new NodeSigns(() => connection.open, foreign, prefix, nodeId),
    start: () => connection.connect(),
    stop: () => connection.close(),
  };
}
