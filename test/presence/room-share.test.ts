import { describe, expect, it } from '@jest/globals';
import type { PresenceBatch } from '../../lib/presence/presence-store.js';
import { RoomShare } from '../../lib/presence/room-share.js';
import { Steps } from '../../lib/steps.js';
import { ManualClock, settle } from '../support/manual-clock.js';

type Batch = Omit<PresenceBatch, 'nodeId' | 'number'>;

/** A share, and the store it speaks to: it can be away, and can keep a batch until it is asked to go on. */
class Scene {
  readonly clock = new ManualClock();
  readonly batches: Batch[] = [];
  readonly inRoom = new Set<string>();
  isAway = false;
  isSlow = false;
  #go: () => void = () => undefined;
  readonly share = new RoomShare({
    room: 'chat:1',
    graceMs: 100,
    clock: this.clock,
    steps: new Steps(this.clock, () => undefined),
    opened: async () => undefined,
    failed: () => undefined,
    apply: async (batch) => {
      this.batches.push(batch);
      if (this.isSlow) await new Promise<void>((resolve) => (this.#go = resolve));
      if (this.isAway) throw new Error('Redis is away.');
      const named = new Set(batch.changes.map(({ clientId }) => clientId));
      if (batch.isWhole) for (const clientId of this.inRoom) if (!named.has(clientId)) this.inRoom.delete(clientId);
      for (const { kind, clientId } of batch.changes)
        if (kind === 'out') this.inRoom.delete(clientId);
        else this.inRoom.add(clientId);
      return { epoch: 'e', version: this.batches.length, now: 1_000 + this.batches.length, own: this.inRoom.size };
    },
  });

  goOn(): Promise<void> {
    this.isSlow = false;
    this.#go();
    return settle();
  }

  async comeAndGo(from: number, count: number): Promise<void> {
    for (let n = from; n < from + count; n++) {
      this.share.enter(`passer-by${n}`, `u${n}`);
      await settle();
      this.share.leave(`passer-by${n}`);
      await settle();
    }
  }
}

describe('what a node has in a room', () => {
  it('is said at once, in whatever moment it changes', async () => {
    for (let moment = 0; moment < 20; moment++) {
      const { share, inRoom } = new Scene();
      share.enter('ada', 'ada');
      for (let n = 0; n < moment; n++) await Promise.resolve();
      share.enter('bob', 'bob');
      await settle();
      expect([...inRoom].toSorted()).toEqual(['ada', 'bob']);
    }
  });

  it('is waited for as far as it was said before, and as long as the store can be asked', async () => {
    const scene = new Scene();
    const { share } = scene;
    const said: unknown[] = [];
    const wait = (name: string): void => void share.said().then((place) => said.push([name, place?.offset]));
    scene.isSlow = true;
    share.enter('ada', 'ada');
    wait('ada');
    await settle();
    share.enter('bob', 'bob');
    wait('bob');
    expect(said).toEqual([]);
    await scene.goOn();
    expect(said).toEqual([
      ['ada', 1],
      ['bob', 2],
    ]);
    scene.isAway = true;
    share.enter('cyn', 'cyn');
    wait('cyn');
    await settle();
    wait('nobody');
    await settle();
    expect(said.slice(2)).toEqual([
      ['cyn', 2],
      ['nobody', 2],
    ]);
  });

  it('stays as long as that while the store is away, however many come and go', async () => {
    const scene = new Scene();
    const { share, batches } = scene;
    for (const name of ['ada', 'bob', 'cyn']) share.enter(name, name);
    await settle();
    scene.isAway = true;
    share.leave('bob');
    await scene.comeAndGo(0, 200);
    share.enter('dan', 'dan');
    await settle();
    scene.isAway = false;
    await share.flush();
    expect(Math.max(...batches.map(({ changes }) => changes.length))).toBeLessThan(6);
    expect([...scene.inRoom].toSorted()).toEqual(['ada', 'cyn', 'dan']);
    expect(share.belief).toEqual({ epoch: 'e', own: 3 });
  });

  it('takes out whoever came and left while the store was away, though it had heard of them', async () => {
    const scene = new Scene();
    scene.share.enter('ada', 'ada');
    await settle();
    scene.isSlow = true;
    scene.share.enter('bob', 'bob'); // the store takes it, and the answer is lost
    await settle();
    scene.inRoom.add('bob');
    scene.isAway = true;
    await scene.goOn();
    scene.share.leave('bob');
    await scene.comeAndGo(0, 10);
    scene.isAway = false;
    await scene.share.flush();
    expect([...scene.inRoom]).toEqual(['ada']);
  });

  it('takes out whoever left, came back and left before the store has heard of it', async () => {
    const scene = new Scene();
    scene.share.enter('ada', 'ada');
    await settle();
    scene.isSlow = true;
    scene.share.enter('bob', 'bob');
    await settle();
    scene.share.leave('ada');
    scene.share.enter('ada', 'ada');
    scene.share.leave('ada');
    await scene.goOn();
    expect([...scene.inRoom]).toEqual(['bob']);
  });

  it('says that it left of whoever left and came back in one turn, also with new data, unless it leaves again', async () => {
    const scene = new Scene();
    scene.share.enter('ada', 'ada');
    scene.share.update('ada', '1');
    await settle();
    const again = (): void => {
      scene.share.leave('ada');
      scene.share.enter('ada', 'ada');
    };
    again();
    await settle();
    again();
    scene.share.update('ada', '2');
    await settle();
    again();
    scene.share.leave('ada');
    await settle();
    expect(scene.batches.flatMap(({ changes }) => changes.map(({ kind, data }) => [kind, data]))).toEqual([
      ['in', '1'],
      ['again', undefined],
      ['again', '2'],
      ['out', undefined],
    ]);
  });

  it('keeps one connection of a user in its grace, the one that ended last', async () => {
    const scene = new Scene();
    for (let n = 0; n < 20; n++) {
      scene.share.enter(`tab${n}`, 'ada');
      scene.share.enter(`other${n}`, `bob${n}`);
      await settle();
      scene.share.lose(`tab${n}`);
      await scene.clock.pass(10);
    }
    expect([...scene.inRoom].filter((clientId) => clientId.startsWith('tab'))).toEqual(['tab19']);
    await scene.clock.pass(85);
    expect(scene.inRoom.has('tab19')).toBe(true);
    await scene.clock.pass(10);
    expect(scene.inRoom.has('tab19')).toBe(false);
    expect(scene.inRoom.size).toBe(20);
  });

  it('says nothing of a connection that leaves before the store has heard of it', async () => {
    const scene = new Scene();
    scene.share.enter('ada', 'ada');
    await settle();
    scene.isSlow = true;
    scene.share.update('ada', '1');
    await settle();
    for (let n = 0; n < 50; n++) {
      scene.share.enter(`early${n}`, 'u');
      scene.share.leave(`early${n}`);
    }
    await scene.goOn();
    expect(scene.batches.flatMap(({ changes }) => changes.map(({ clientId }) => clientId))).toEqual(['ada', 'ada']);
    expect(scene.share.belief).toEqual({ epoch: 'e', own: 1 });
  });
});
