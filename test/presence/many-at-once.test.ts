import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { Followed } from '../../lib/clients/followed.js';
import { RoomReaders } from '../../lib/history/room-readers.js';
import type { HistoryRule } from '../../lib/history/history-rule.js';
import { NodeShares } from '../../lib/presence/node-shares.js';
import { DifferenceFrames } from '../../lib/presence/presence-frames.js';
import type { PresenceStore } from '../../lib/presence/presence-store.js';
import type { PresentUser } from '../../lib/presence/room-view.js';
import { presenceIdOfUser } from '../../lib/connection/session.js';
import type { ConnectedClient } from '../../lib/decorators/connected-client.js';
import { Presence } from '../../lib/presence/presence.js';
import { PresenceRules } from '../../lib/presence/presence-options.js';
import type { RoomViews } from '../../lib/presence/room-views.js';
import { Steps } from '../../lib/steps.js';
import { ManualClock, settle } from '../support/manual-clock.js';
import { SlowClock } from '../support/slow-clock.js';

const ROOMS = Array.from({ length: 60 }, (_, at) => `chat:${at}`);
/** Each look at the clock takes 1 ms of the 5 ms that a step has. */
const STEP = 8;
const fail = (error: unknown): never => {
  throw error;
};

/** How much was done in each turn. */
async function perTurn(clock: SlowClock, count: () => number): Promise<number[]> {
  await settle();
  const counts = [count()];
  for (let before = count(); clock.hasMore; before = count()) {
    await clock.turn();
    counts.push(count() - before);
  }
  return counts;
}

describe('the end of a client that was in many rooms', () => {
  it('is told to the store a few rooms a turn, in their order, with the newest state of each', async () => {
    const clock = new SlowClock();
    const said: string[] = [];
    const store = {
      apply: async (room: string, { changes }: { changes: readonly { kind: string }[] }) => {
        said.push(...changes.map(({ kind }) => `${room} ${kind}`));
        return { epoch: 'e', version: 1, now: 1, own: 0 };
      },
    } as unknown as PresenceStore;
    const shares = new NodeShares({ nodeId: 'n', store, signs: undefined, clock, graceMsOf: () => 0, failed: fail });
    for (const room of ROOMS) shares.open(room).enter('ada', 'ada');
    expect(Math.max(...(await perTurn(clock, () => said.length)))).toBeLessThanOrEqual(STEP);
    expect(said.splice(0)).toEqual(ROOMS.map((room) => `${room} in`));
    for (const room of ROOMS) shares.find(room)?.lose('ada');
    shares.find('chat:59')?.enter('ada', 'ada');
    expect(Math.max(...(await perTurn(clock, () => said.length)))).toBeLessThanOrEqual(STEP);
    expect(said).toEqual(ROOMS.map((room) => `${room} ${room === 'chat:59' ? 'again' : 'out'}`));
  });

  it.each([
    ['keeps its user for the grace', false, 'kept'],
    ['lets its user go everywhere if that is kicked meanwhile', true, 'out'],
  ])('%s, a few rooms a turn', async (_, isKicked, last) => {
    const clock = new SlowClock();
    const lastSaid = new Map<string, string>();
    const store = {
      apply: async (room: string, { changes }: { changes: readonly { kind: string }[] }) => {
        for (const { kind } of changes) lastSaid.set(room, kind);
        return { epoch: 'e', version: 1, now: 1, own: 1 };
      },
    } as unknown as PresenceStore;
    const shares = new NodeShares({ nodeId: 'n', store, signs: undefined, clock, graceMsOf: () => 9, failed: fail });
    const forgotten: string[] = [];
    const presence = new Presence({
      rules: new PresenceRules([{ match: 'chat:*' }]),
      store,
      shares,
      views: { forget: (_client: string, room: string) => void forgotten.push(room) } as RoomViews,
      local: { sessionOf: () => undefined },
      steps: new Steps(clock, fail),
      clock,
    });
    const client = { clientId: 'n.1', presenceId: presenceIdOfUser('ada') } as unknown as ConnectedClient;
    for (const room of ROOMS) presence.joined(client, room);
    await perTurn(clock, () => 0);
    presence.ended(client, ROOMS, false);
    expect(forgotten.length).toBeLessThanOrEqual(STEP);
    if (isKicked) presence.dismissUser('ada');
    let isSettled = false;
    void presence.settled().then(() => (isSettled = true));
    expect(Math.max(...(await perTurn(clock, () => forgotten.length)))).toBeLessThanOrEqual(2 * STEP);
    expect([forgotten, isSettled]).toEqual([ROOMS, true]);
    expect([...lastSaid.values()]).toEqual(ROOMS.map(() => last));
  });

  it('is told to the rooms, too, that it joined after it was told to go', async () => {
    const clock = new SlowClock();
    const inRooms = new Set<string>();
    const store = {
      apply: async (room: string, { changes }: { changes: readonly { kind: string }[] }) => {
        for (const { kind } of changes) inRooms[kind === 'out' ? 'delete' : 'add'](room);
        return { epoch: 'e', version: 1, now: 1, own: 1 };
      },
    } as unknown as PresenceStore;
    const shares = new NodeShares({ nodeId: 'n', store, signs: undefined, clock, graceMsOf: () => 9, failed: fail });
    const presence = new Presence({
      rules: new PresenceRules([{ match: 'chat:*' }]),
      store,
      shares,
      views: { forget: () => undefined } as unknown as RoomViews,
      local: { sessionOf: () => undefined },
      steps: new Steps(clock, fail),
      clock,
    });
    const client = { clientId: 'n.1', presenceId: presenceIdOfUser('ada') } as unknown as ConnectedClient;
    for (const room of ROOMS) presence.joined(client, room);
    await perTurn(clock, () => 0);
    presence.ended(client, ROOMS, true);
    presence.joined(client, 'chat:late');
    presence.ended(client, [...ROOMS, 'chat:late'], false);
    const settled = presence.settled();
    await perTurn(clock, () => 0);
    await settled;
    expect([...inRooms]).toEqual([]);
  });

  it('ends its subscriptions a few a turn, and none that is wanted again', async () => {
    const clock = new SlowClock();
    const ended: string[] = [];
    const bus = { follow: async () => undefined, unfollow: ({ name }: { name: string }) => void ended.push(name) };
    const followed = new Followed(bus, clock, fail);
    for (const name of ROOMS) followed.keep({ kind: 'room', name });
    for (const name of ROOMS) followed.release({ kind: 'room', name });
    followed.keep({ kind: 'room', name: 'chat:59' });
    expect(Math.max(...(await perTurn(clock, () => ended.length)))).toBeLessThanOrEqual(STEP);
    expect(ended).toEqual(ROOMS.slice(0, -1));
  });

  it('ends the readers of its rooms a few a turn, and none that is held again', async () => {
    const [clock, manual] = [new SlowClock(), new ManualClock()];
    const ended: string[] = [];
    const readers = new RoomReaders({
      log: { top: async () => [{ epoch: 'e', offset: 0 }], read: fail },
      clock: Object.assign(clock, { after: (ms: number, task: () => void) => manual.after(ms, task) }),
      follow: async () => () => undefined,
      failed: fail,
    });
    readers.start({ deliver: fail, reset: fail, ended: (room) => void ended.push(room) });
    const rule = { mode: 'log', size: 1, checkMs: 15_000 } as HistoryRule;
    for (const room of ROOMS) readers.hold(room, rule);
    await settle();
    for (const room of ROOMS) readers.release(room);
    await manual.pass(10_000);
    readers.hold('chat:59', rule);
    expect(Math.max(...(await perTurn(clock, () => ended.length)))).toBeLessThanOrEqual(STEP);
    expect([ended, readers.size]).toEqual([ROOMS.slice(0, -1), 1]);
  });
});

describe('the frames of those who joined or left', () => {
  const head = { roomName: 'chat:1', epoch: 'e', version: 7, total: 3 };
  const dataOf = (message: ReturnType<DifferenceFrames['of']>): unknown =>
    message && JSON.parse(Buffer.from(message.payload).toString());

  it('say everything but the user itself, whatever its id', () => {
    const ids = fc.uniqueArray(fc.string({ unit: 'grapheme' }), { maxLength: 8 });
    fc.assert(
      fc.property(ids, fc.nat(8), fc.boolean(), (userIds, middle, hasUpdate) => {
        const user = (userId: string): PresentUser => ({ userId, data: { userId }, connections: 1 });
        const joined = userIds.slice(0, middle).map(user);
        const left = userIds.slice(middle);
        const updated = hasUpdate ? [user('other')] : [];
        const frames = new DifferenceFrames(head, { joined, updated, left });
        for (const without of [undefined, ...userIds]) {
          const rest = {
            joined: joined.filter(({ userId }) => userId !== without),
            updated,
            left: left.filter((userId) => userId !== without),
          };
          const isEmpty = rest.joined.length + rest.left.length + updated.length === 0;
          const data = { ...head, total: 4, ...rest };
          expect(dataOf(frames.of(4, without))).toEqual(
            isEmpty ? undefined : { type: 'system', action: 'presence', data },
          );
        }
      }),
    );
  });

  it('encode each user once', () => {
    let count = 0;
    const joined = Array.from({ length: 200 }, (_, at) => ({
      userId: `u${at}`,
      data: { toJSON: () => count++ },
      connections: 1,
    }));
    const frames = new DifferenceFrames(head, { joined, updated: [], left: [] });
    for (const { userId } of joined) frames.of(200, userId);
    expect(count).toBe(200);
  });
});
