import { describe, expect, it } from '@jest/globals';
import { Presence } from '../../lib/client/presence.js';
import { type PresenceRule, PresenceRules } from '../../lib/presence/presence-options.js';
import type { PresenceSnapshot, UserChange } from '../../lib/presence/presence-store.js';
import { RoomAudience } from '../../lib/presence/room-audience.js';
import { RoomView } from '../../lib/presence/room-view.js';
import { ManualClock } from '../support/manual-clock.js';

const ROOM = 'chat:1';

/** The members of one room on a node, and what its store says. */
class Scene {
  readonly clock = new ManualClock();
  readonly members = new Map<string, Presence>();
  /** What each was told last. */
  readonly totals = new Map<string, number>();
  #version = 0;
  readonly #users = new Map<string, { connections: number; data: string }>();
  readonly view = new RoomView(
    { read: async () => this.#snapshot(), top: async () => ({ epoch: 'e', offset: this.#version }) },
    ROOM,
    { users: 2, bytes: 1_000 },
  );
  audience!: RoomAudience;

  static async with(...users: string[]): Promise<Scene> {
    const scene = new Scene();
    for (const userId of users) scene.#users.set(userId, { connections: 1, data: 'null' });
    await scene.view.top();
    scene.audience = new RoomAudience({
      room: ROOM,
      rule: new PresenceRules([{ match: ROOM, maxUsers: 2 }]).of(ROOM) as PresenceRule,
      view: scene.view,
      clock: scene.clock,
      guard: (work) => work,
      send: (clientId, { payload }) => {
        const { data } = JSON.parse(Buffer.from(payload).toString());
        scene.totals.set(clientId, data.total);
        scene.members.get(clientId)?.hear(data);
      },
    });
    return scene;
  }

  /** A connection of the user joins here. The store hears of it later, unless it is in the room already. */
  join(userId: string, { data, isNew = true, as = userId }: { data?: unknown; isNew?: boolean; as?: string } = {}) {
    const presence = new Presence((error) => {
      throw error;
    });
    this.members.set(as, presence);
    presence.begin(this.audience.add(as, { userId, hears: true, data, isNew }));
    return presence;
  }

  async stored(...changes: UserChange[]): Promise<void> {
    this.hear(...changes);
    if (this.view.isListDue) {
      await this.view.read();
      this.view.fill();
      this.audience.changed([]);
    }
    await this.clock.pass(100);
  }

  hear(...changes: UserChange[]): void {
    for (const [userId, connections, data] of changes)
      if (connections > 0) this.#users.set(userId, { connections, data: JSON.stringify(data) });
      else this.#users.delete(userId);
    const frame = JSON.stringify([this.#snapshot().size, ...changes]);
    this.audience.changed(this.view.apply({ epoch: 'e', offset: ++this.#version }, { frame }));
  }

  #snapshot(): PresenceSnapshot {
    const size = { users: this.#users.size, bytes: 0 };
    const users = size.users > 2 ? undefined : new Map(this.#users);
    return { epoch: 'e', version: this.#version, now: 0, size, users };
  }
}

describe('the members of a room on a node', () => {
  it('know of themselves, also if the room is no crowd any more just before the store knows of them', async () => {
    const scene = await Scene.with('ada', 'bob', 'cyn');
    const dan = scene.join('dan');
    await scene.stored(['ada', 0, null], ['bob', 0, null]);
    expect([...dan.keys()]).toEqual(['cyn']);
    await scene.stored(['dan', 1, null]);
    expect([...dan.keys()]).toEqual(['cyn', 'dan']);
    await scene.stored(['cyn', 0, null]);
    const eve = scene.join('eve');
    const told: string[] = [];
    eve.on('joined', ({ userId }) => told.push(userId));
    await scene.stored(['eve', 1, null]);
    expect([[...dan.keys()], [...eve.keys()], told]).toEqual([['dan', 'eve'], ['dan', 'eve'], []]);
  });

  it('miss nothing that was heard while the list was read', async () => {
    const scene = await Scene.with('ada', 'bob', 'cyn');
    const dan = scene.join('dan');
    scene.hear(['ada', 0, null]);
    await scene.view.read(); // the answer is late
    scene.hear(['bob', 0, null], ['cyn', 1, 'away']);
    scene.view.fill();
    await scene.clock.pass(100);
    expect([scene.view.isListDue, dan.size]).toEqual([true, 0]);
    await scene.stored(['dan', 1, null]);
    expect([...dan.values()].map(({ userId, data }) => [userId, data])).toEqual([
      ['cyn', 'away'],
      ['dan', null],
    ]);
  });

  it('are counted for themselves before the store knows of them, and hear of no other number meanwhile', async () => {
    const scene = await Scene.with('ada');
    const bob = scene.join('bob');
    scene.audience.add('counts', { userId: 'cyn', hears: 'count', data: undefined, isNew: true });
    const totals: number[] = [];
    scene.members.set('counts', { hear: ({ total }: { total: number }) => totals.push(total) } as never);
    await scene.stored(['ada', 1, 'away']);
    expect([totals, scene.totals.get('bob'), bob.get('ada')?.data]).toEqual([[], 2, 'away']);
    await scene.stored(['bob', 1, null]);
    expect([totals, scene.totals.get('bob')]).toEqual([[3], 2]);
  });

  it('are told what the store says of themselves, where their list says something else', async () => {
    const scene = await Scene.with('ada');
    const tabs = [scene.join('bob', { as: 'tab1' }), scene.join('bob', { as: 'tab2', data: 'second' })] as const;
    const told: unknown[] = [];
    for (const tab of tabs) tab.on('updated', ({ data }) => told.push(data));
    await scene.stored(['ada', 1, 'hello']); // the store is slow to take their joins
    expect(tabs.map((tab) => tab.get('bob')?.data)).toEqual([null, 'second']);
    await scene.stored(['bob', 3, 'from elsewhere']);
    expect(tabs.map((tab) => tab.get('bob')?.data)).toEqual(['from elsewhere', 'from elsewhere']);
    expect(told.filter((data) => data !== 'hello')).toEqual(['from elsewhere', 'from elsewhere']);
    const cyn = scene.join('ada', { as: 'third', data: 'short' });
    await scene.stored(['ada', 2, 'short'], ['ada', 2, 'hello']);
    expect(cyn.get('ada')?.data).toBe('hello');
  });

  it('are told of their own data also if their user left and came back before the store took their join', async () => {
    const scene = await Scene.with('ada');
    await scene.stored(['bob', 1, 'former']);
    const bob = scene.join('bob');
    expect(bob.get('bob')?.data).toBe('former');
    await scene.stored(['bob', 0, null]);
    await scene.stored(['bob', 1, null]);
    expect(bob.get('bob')?.data).toBe(null);
  });

  it('see their own connection once, also if they ask who is there after they joined', async () => {
    const scene = await Scene.with('ada');
    expect(scene.join('ada', { as: 'late', isNew: false }).get('ada')?.connections).toBe(1);
    expect(scene.join('ada', { as: 'other' }).get('ada')?.connections).toBe(2);
    expect(scene.join('bob', { isNew: false }).get('bob')?.connections).toBe(1);
  });

  it('know of themselves when they become another user', async () => {
    const scene = await Scene.with('ada');
    const guest = scene.join('guest');
    await scene.stored(['guest', 1, null]);
    scene.audience.identified('guest', 'bob');
    await scene.stored(['guest', 0, null], ['bob', 1, null]);
    expect([...guest.keys()]).toEqual(['ada', 'bob']);
    scene.audience.identified('guest', 'ada');
    await scene.stored(['bob', 0, null], ['ada', 2, null]);
    expect([...guest.keys()]).toEqual(['ada']);
  });
});
