import { beforeEach, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { Announcement } from '../../lib/history/announcement.js';
import { Backlog } from '../../lib/history/backlog.js';
import { attach, type Attachment, type Resumption } from '../../lib/history/attach.js';
import type { HistoryRule } from '../../lib/history/history-rule.js';
import { LogUnavailableError } from '../../lib/history/log-errors.js';
import { MemoryRoomLog } from '../../lib/history/memory-room-log.js';
import { Ring, RingBudget } from '../../lib/history/ring.js';
import type { LogRead, ReadOptions } from '../../lib/history/room-log.js';
import type { RoomPosition } from '../../lib/protocol/message.js';
import { type ResetReason, RoomReader } from '../../lib/history/room-reader.js';
import { StoredTimes } from '../../lib/history/stored-times.js';
import { ManualClock, settle } from '../support/manual-clock.js';

const RULE: HistoryRule = {
  mode: 'log',
  size: 500,
  ttlMs: 300_000,
  maxBytes: 1_048_576,
  keyTtlMs: 300_000,
  metaTtlMs: 86_400_000,
  emptyTtlMs: 86_400_000,
  recoverMax: 500,
  recoverMaxBytes: 262_144,
  checkMs: 15_000,
  ack: 'stored',
  onRestart: 'reset',
};
const ROOM = 'chat:1';

/** A log that counts what it is asked, and can be away. */
class CountedLog extends MemoryRoomLog {
  reads = 0;
  tops = 0;
  isAway = false;
  /** What somebody has deleted from the middle. */
  readonly lost = new Set<number>();
  /** Called when a read was answered, before the answer arrives. */
  afterRead: () => void = () => undefined;

  override async read(room: string, options: ReadOptions): Promise<LogRead> {
    this.reads++;
    if (this.isAway) throw new LogUnavailableError('a test');
    const answer = await super.read(room, options);
    this.afterRead();
    return { ...answer, entries: answer.entries.filter(({ offset }) => !this.lost.has(offset)) };
  }

  override async top(rooms: readonly string[]): Promise<RoomPosition[]> {
    this.tops++;
    if (this.isAway) throw new LogUnavailableError('a test');
    return super.top(rooms);
  }
}

/** A member as a node has it: what it was told and sent, in order, and whether that can be right. */
class Member {
  readonly told: Attachment[] = [];
  readonly seen: { epoch: string; offset: number; frame: string }[] = [];
  readonly resets: ResetReason[] = [];
  readonly flaws: string[] = [];
  position: RoomPosition | undefined;

  get offsets(): number[] {
    return this.seen.map(({ offset }) => offset);
  }

  attached(attachment: Attachment): void {
    this.told.push(attachment);
    const { position, recovered, entries } = attachment;
    if (recovered === false && entries.length > 0) this.flaws.push('a part was recovered');
    const first = entries[0]?.offset ?? position.offset + 1;
    if (recovered !== true) this.position = { epoch: position.epoch, offset: first - 1 };
    for (const entry of entries) this.take(position.epoch, entry);
    if (this.position?.epoch !== position.epoch || this.position.offset !== position.offset)
      this.flaws.push(`told ${position.offset}, had ${this.position?.offset}`);
  }

  take(epoch: string, { offset, frame }: { offset: number; frame: string }): void {
    if (epoch !== this.position?.epoch || offset !== this.position.offset + 1)
      this.flaws.push(`${epoch}/${offset} after ${this.position?.epoch}/${this.position?.offset}`);
    this.seen.push({ epoch, offset, frame });
    this.position = { epoch, offset };
  }

  reset(position: RoomPosition, reason: ResetReason): void {
    this.resets.push(reason);
    this.position = position;
  }
}

class World {
  readonly clock = new ManualClock();
  readonly rule = { ...RULE };
  /** What is announced waits here until the network takes it. */
  readonly wire: Announcement[] = [];
  readonly members = new Set<Member>();
  /** Everything that was ever stored: epoch and offset name one frame. */
  readonly ledger = new Map<string, string>();
  follows = 0;
  failures: string[] = [];
  #epochs = 0;
  #heard: ((said: Announcement) => void) | undefined;
  readonly log = new CountedLog({
    retentionOf: () => this.rule,
    newEpoch: () => `e${++this.#epochs}`,
    announce: (_room, said) => {
      this.wire.push(said);
      if (said.kind === 'stored') this.ledger.set(`${said.epoch}/${said.offset}`, said.frame);
    },
    now: () => this.clock.now(),
    wallMs: () => 1_800_000_000_000 + this.clock.now(),
  });
  reader = this.newReader();

  newReader(): RoomReader {
    return new RoomReader({
      room: ROOM,
      log: this.log,
      rule: this.rule,
      clock: this.clock,
      budget: new RingBudget(),
      follow: async (_room, heard) => {
        this.follows++;
        this.#heard = heard;
        return () => undefined;
      },
      deliver: (epoch, entry) => this.members.forEach((member) => member.take(epoch, entry)),
      reset: (position, reason) => this.members.forEach((member) => member.reset({ ...position }, reason)),
      failed: (error) => void this.failures.push(error.message),
    });
  }

  async publish(text: string): Promise<RoomPosition> {
    return this.log.append(ROOM, JSON.stringify(text));
  }

  /** The network brings what waits. */
  bring(pick: (wire: Announcement[]) => Announcement[] = (wire) => wire): void {
    for (const said of pick(this.wire.splice(0))) this.#heard?.(said);
  }

  async join(resumption: Resumption = {}, member = new Member()): Promise<Member> {
    await attach(this.reader, { log: this.log, rule: this.rule, room: ROOM }, resumption, (attachment) => {
      member.attached(attachment);
      this.members.add(member);
    });
    return member;
  }
}

let world: World;
beforeEach(() => void (world = new World()));

/** Publishes so many, and has the network bring them. */
async function live(from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) await world.publish(`${n}`);
  world.bring();
}

describe('the reader of a room', () => {
  it('delivers what is announced, in order, and nothing of before', async () => {
    await live(1, 3);
    const member = await world.join();
    expect(member.told).toEqual([
      { position: { epoch: 'e1', offset: 3 }, recovered: undefined, reason: undefined, missed: 0, entries: [] },
    ]);
    await live(4, 6);
    expect(member.offsets).toEqual([4, 5, 6]);
  });

  it('delivers once what is announced twice, and late what comes late', async () => {
    const member = await world.join();
    for (let n = 1; n <= 4; n++) await world.publish(`${n}`);
    world.bring(([a, b, c, d]) => [b, a, a, d, c, b] as Announcement[]);
    expect(member.offsets).toEqual([1, 2, 3, 4]);
    await world.clock.pass(1_000);
    expect(member.offsets).toEqual([1, 2, 3, 4]);
    expect(world.log.reads).toBe(0);
  });

  it('H9: reads a hole once for the whole node, after 50 ms', async () => {
    const members = [await world.join(), await world.join(), await world.join()];
    for (let n = 1; n <= 5; n++) await world.publish(`${n}`);
    world.bring((wire) => [wire[0], wire[3], wire[4]] as Announcement[]);
    await world.clock.pass(49);
    expect(members.map(({ offsets }) => offsets)).toEqual([[1], [1], [1]]);
    expect(world.log.reads).toBe(0);
    await world.clock.pass(1);
    for (const { offsets } of members) expect(offsets).toEqual([1, 2, 3, 4, 5]);
    expect(world.log.reads).toBe(1);
  });

  it('H9: finds within checkMs what the bus lost and nothing followed, and subscribes anew', async () => {
    const member = await world.join();
    await world.publish('1');
    world.bring(() => []);
    await world.clock.pass(RULE.checkMs);
    expect(member.offsets).toEqual([1]);
    expect(world.follows).toBe(2);
    await live(2, 2);
    expect(member.offsets).toEqual([1, 2]);
  });

  it.each([1, 7_000, 14_999])('H9: finds it within checkMs when another was heard %i ms after a check', async (ms) => {
    const member = await world.join();
    await world.clock.pass(ms);
    await live(1, 1);
    await world.publish('lost');
    world.bring(() => []);
    await world.clock.pass(RULE.checkMs);
    expect(member.offsets).toEqual([1, 2]);
  });

  it('H9: finds it within checkMs when an earlier one is heard late', async () => {
    const member = await world.join();
    await world.publish('1');
    world.bring(); // the bus is fast at first
    await world.clock.pass(RULE.checkMs);
    await world.publish('2');
    await world.publish('lost');
    await world.clock.pass(4_000);
    world.bring(([late]) => [late as Announcement]);
    await world.clock.pass(RULE.checkMs - 4_000);
    expect(member.offsets).toEqual([1, 2, 3]);
  });

  it('asks a room with steady traffic for nothing', async () => {
    await world.join();
    const before = world.log.tops;
    for (let n = 1; n <= 20; n++) {
      await world.clock.pass(RULE.checkMs - 100);
      await live(n, n);
    }
    expect([world.log.tops - before, world.log.reads]).toEqual([0, 0]);
  });

  it('asks again while the log is away, and then delivers what was missing', async () => {
    const member = await world.join();
    for (let n = 1; n <= 3; n++) await world.publish(`${n}`);
    world.log.isAway = true;
    world.bring((wire) => [wire[2] as Announcement]);
    await world.clock.pass(5_000);
    expect(member.offsets).toEqual([]);
    world.log.isAway = false;
    await world.clock.pass(2_000);
    expect(member.offsets).toEqual([1, 2, 3]);
  });

  it('resets its members once when the log began anew, and goes on there', async () => {
    const member = await world.join();
    await live(1, 3);
    world.log.clear(ROOM).catch(() => undefined);
    await settle();
    for (let n = 1; n <= 2; n++) await world.publish(`new ${n}`);
    world.bring();
    world.bring();
    await world.clock.pass(100);
    expect(member.resets).toEqual(['cleared']);
    await live(3, 3);
    expect(member.seen.at(-1)).toMatchObject({ epoch: 'e2', offset: 3 });
    // Nothing of the new epoch but in order.
    const fresh = member.seen.filter(({ epoch }) => epoch === 'e2').map(({ offset }) => offset);
    expect(fresh).toEqual([...fresh].toSorted((a, b) => a - b));
  });

  it('resets when a hole can’t be read any more', async () => {
    const member = await world.join();
    world.rule.size = 4;
    for (let n = 1; n <= 5; n++) await world.publish(`${n}`);
    world.bring((wire) => [wire[4] as Announcement]);
    await world.clock.pass(50);
    expect(member.resets).toEqual(['hole']);
    expect(world.reader.position).toEqual({ epoch: 'e1', offset: 5 });
    await live(6, 6);
    expect(member.offsets).toEqual([6]);
  });

  it.each([
    [[2], [5]],
    [[4], [5]],
    [[2, 3, 4, 5], []],
    [[5], []],
  ])('resets once when the log has %j no more, and the bus brings %j', async (lost, heard) => {
    const member = await world.join();
    await live(1, 1);
    for (let n = 2; n <= 5; n++) await world.publish(`${n}`);
    for (const offset of lost) world.log.lost.add(offset);
    world.bring((wire) => wire.filter((said) => said.kind === 'stored' && heard.includes(said.offset)));
    await world.clock.pass(2 * RULE.checkMs);
    expect(member.resets).toEqual(['hole']);
    expect(world.log.reads).toBeLessThanOrEqual(2);
    await live(6, 7);
    expect(member.offsets.slice(-2)).toEqual([6, 7]);
    expect(member.flaws).toEqual([]);
  });

  it('says that the room was cleared when several clear it at once, and only then', async () => {
    const member = await world.join();
    for (let n = 0; n < 3; n++) await world.log.clear(ROOM);
    const [first, ...late] = world.wire.splice(0);
    world.wire.push(first as Announcement);
    world.bring();
    await settle();
    expect(member.resets).toEqual(['cleared']);
    world.wire.push(...late);
    world.bring();
    await settle();
    expect(member.resets).toEqual(['cleared']);
    await world.log.clear(ROOM);
    world.wire.splice(0); // Redis itself says nothing
    await world.publish('new');
    world.bring();
    await settle();
    expect(member.resets).toEqual(['cleared', 'restart']);
    expect(member.flaws).toEqual([]);
  });

  it('isn’t misled by an announcement of a dead epoch', async () => {
    const member = await world.join();
    await world.publish('old');
    const late = world.wire.splice(0);
    await world.log.clear(ROOM);
    world.bring();
    await world.clock.pass(100);
    world.wire.push(...late);
    world.bring();
    await world.clock.pass(100);
    expect(member.resets).toHaveLength(1);
    expect(member.seen).toEqual([]);
  });

  it('keeps no more than a megabyte of what it can’t deliver yet, and reads the rest', async () => {
    world.rule.maxBytes = 8_388_608;
    const member = await world.join();
    world.log.isAway = true;
    await world.publish('lost');
    world.bring(() => []);
    const text = 'x'.repeat(100_000);
    for (let n = 1; n <= 20; n++) await world.publish(text);
    world.bring();
    expect(member.offsets).toEqual([]);
    await world.clock.pass(100);
    world.log.isAway = false;
    await world.clock.pass(3_000);
    expect(member.offsets).toEqual(Array.from({ length: 21 }, (_, n) => n + 1));
    expect(member.flaws).toEqual([]);
    expect(member.resets).toEqual([]);
  });

  it('can be started again when the log was away', async () => {
    world.log.isAway = true;
    await expect(world.join()).rejects.toThrow(LogUnavailableError);
    world.log.isAway = false;
    const member = await world.join();
    await live(1, 1);
    expect(member.offsets).toEqual([1]);
  });

  it('H9: reads a hole also while a failed start is to be tried again', async () => {
    world.log.isAway = true;
    world.reader.begin();
    await settle();
    world.log.isAway = false;
    const member = await world.join();
    for (let n = 1; n <= 3; n++) await world.publish(`${n}`);
    world.bring((wire) => [wire[0], wire[2]] as Announcement[]);
    await world.clock.pass(250);
    expect(member.offsets).toEqual([1, 2, 3]);
  });
});

describe('a client that comes back', () => {
  const since = (offset: number, epoch = 'e1'): Resumption => ({ since: { epoch, offset } });

  it('H3: gets what it missed, from memory, at no read', async () => {
    await world.join();
    await live(1, 10);
    const back = await world.join(since(4));
    expect(back.told).toEqual([expect.objectContaining({ recovered: true, missed: 6 })]);
    expect(back.offsets).toEqual([5, 6, 7, 8, 9, 10]);
    expect(world.log.reads).toBe(0);
  });

  it('H3: gets what lies before memory from the log, in one read', async () => {
    await world.join();
    await live(1, 200);
    const back = await world.join(since(20));
    expect(back.told[0]).toMatchObject({ recovered: true, missed: 180 });
    expect(back.offsets).toEqual(Array.from({ length: 180 }, (_, n) => n + 21));
    expect(world.log.reads).toBe(1);
  });

  it('H3: misses nothing that comes while the log is read, and gets nothing twice', async () => {
    await world.join();
    await live(1, 200);
    let n = 200;
    world.log.afterRead = () => {
      void world.publish(`${++n}`);
      world.bring();
    };
    const back = await world.join(since(20));
    world.log.afterRead = () => undefined;
    await live(n + 1, n + 5);
    expect(back.offsets).toEqual(Array.from({ length: n + 5 - 20 }, (_, at) => at + 21));
  });

  it('H5, H6: at the top gets nothing, also when everything has aged out', async () => {
    const member = await world.join();
    await live(1, 3);
    await world.clock.pass(RULE.ttlMs + 1);
    const back = await world.join({ since: member.position });
    expect(back.told[0]).toMatchObject({ recovered: true, missed: 0, entries: [] });
    const early = await world.join(since(0));
    expect(early.told[0]).toMatchObject({ recovered: false, reason: 'expired' });
    expect(early.offsets).toEqual([]);
  });

  it('H14: counts the age of a message from when it was stored, however late this node heard of it', async () => {
    world.rule.checkMs = 1_000_000; // a check would read it
    await world.join();
    await live(1, 1);
    await world.publish('2');
    await world.clock.pass(200_000);
    world.bring();
    await live(3, 3);
    await world.clock.pass(100_000);
    const back = await world.join(since(1));
    expect(back.told[0]).toMatchObject({ recovered: false, reason: 'expired' });
    expect((await world.join(since(2))).offsets).toEqual([3]);
  });

  it('H4: is told why it can’t get what it missed, and gets none of it', async () => {
    await world.join();
    await live(1, 20);
    world.rule.recoverMax = 10;
    expect((await world.join(since(9))).told[0]).toMatchObject({
      recovered: false,
      reason: 'too-far-behind',
      missed: 11,
    });
    expect((await world.join(since(10))).told[0]).toMatchObject({ recovered: true, missed: 10 });
    world.rule.recoverMaxBytes = 3;
    expect((await world.join(since(15))).told[0]).toMatchObject({
      recovered: false,
      reason: 'too-far-behind',
      entries: [],
    });
    expect((await world.join(since(3, 'e0'))).told[0]).toMatchObject({ recovered: false, reason: 'other-epoch' });
    expect((await world.join(since(21))).told[0]).toMatchObject({ recovered: false, reason: 'ahead' });
  });

  it('H4: is too far behind at one message that is more than it may have missed, wherever that lies', async () => {
    world.rule.recoverMaxBytes = 50;
    await world.join();
    await world.publish('x'.repeat(100));
    world.bring();
    const refused = { recovered: false, reason: 'too-far-behind' };
    expect((await world.join(since(0))).told).toMatchObject([refused]); // in memory
    world.reader = world.newReader();
    expect((await world.join(since(0))).told).toMatchObject([refused]); // in the log
    expect((await world.join(since(1))).told).toMatchObject([{ recovered: true, missed: 0 }]);
  });

  it.each([1, 50, 99, 100])('H4: is told that message %i of what it missed was deleted', async (deleted) => {
    await world.join();
    await live(1, 100);
    world.log.lost.add(deleted);
    world.reader = world.newReader(); // of another node: it has none of them in memory
    const back = await world.join(since(0));
    expect(back.told[0]).toMatchObject({ recovered: false, reason: 'expired', missed: 100, entries: [] });
    expect((await world.join(since(deleted))).told[0]).toMatchObject({ recovered: true, missed: 100 - deleted });
  });

  it('without a place gets the newest that follow each other', async () => {
    await live(1, 100);
    world.log.lost.add(97);
    expect((await world.join({ tail: 10 })).offsets).toEqual([98, 99, 100]);
  });

  it('H7: that is ahead of this node has the node read first', async () => {
    const member = await world.join();
    for (let n = 1; n <= 5; n++) await world.publish(`${n}`);
    world.wire.length = 0; // this node heard nothing
    const back = await world.join(since(4));
    expect(back.told[0]).toMatchObject({ recovered: true, missed: 1 });
    expect(back.offsets).toEqual([5]);
    expect(member.offsets).toEqual([1, 2, 3, 4, 5]);
  });

  it('H7: of an epoch that this node hasn’t heard of yet isn’t refused', async () => {
    const member = await world.join();
    await live(1, 2);
    const { epoch } = await world.log.clear(ROOM);
    await world.publish('1');
    world.wire.length = 0;
    const back = await world.join(since(0, epoch));
    expect(back.told[0]).toMatchObject({ recovered: true, missed: 1 });
    expect(member.resets).toHaveLength(1);
  });

  it('H3: is not told that it has everything when the log began anew while it was read', async () => {
    await world.publish('1');
    await world.join();
    await world.log.clear(ROOM);
    world.bring(([, cleared]) => [cleared as Announcement]); // this node finds out while the client comes back
    expect((await world.join(since(0))).told[0]).toMatchObject({ recovered: false, reason: 'other-epoch' });
  });

  it('without a place may ask for the newest', async () => {
    await live(1, 100);
    expect((await world.join({ tail: 3 })).offsets).toEqual([98, 99, 100]);
    await live(101, 110);
    expect((await world.join({ tail: 3 })).offsets).toEqual([108, 109, 110]);
    expect((await world.join({ tail: 30 })).offsets).toEqual(Array.from({ length: 30 }, (_, n) => n + 81));
  });

  it.each([0, 1, 3])('gets the newest %i, and no more, though messages come while the log is read', async (tail) => {
    await live(1, 10);
    world.reader = world.newReader(); // has nothing in memory
    await world.reader.start();
    world.log.afterRead = () => {
      world.log.afterRead = () => undefined;
      void world.publish('11');
      world.bring();
    };
    const member = await world.join({ tail });
    const told = member.told[0]?.position.offset as number;
    expect(member.offsets.filter((offset) => offset <= told)).toHaveLength(tail);
    expect(member.flaws).toEqual([]);
  });

  it('gets the newest value alone of a room that keeps no more', async () => {
    world.rule.mode = 'last';
    await live(1, 5);
    expect((await world.join()).offsets).toEqual([5]);
    await live(6, 8);
    const back = await world.join(since(2));
    expect(back.told[0]).toMatchObject({ recovered: true });
    expect(back.offsets).toEqual([8]);
    expect((await world.join(since(8))).offsets).toEqual([]);
  });
});

describe('a node that heard nothing of a while', () => {
  it('gives whoever joins the newest that was asked for, and the others all of it', async () => {
    await live(1, 1);
    const member = await world.join();
    for (let n = 2; n <= 10; n++) await world.publish(`${n}`);
    world.wire.length = 0;
    const other = await world.join({ tail: 3 });
    expect(other.told[0]).toMatchObject({ recovered: undefined, reason: undefined });
    expect(other.offsets).toEqual([8, 9, 10]);
    expect(member.offsets).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  describe('of a room that keeps the newest value alone', () => {
    beforeEach(() => void (world.rule.mode = 'last'));

    it('gives it to whoever joins, and to the others', async () => {
      await live(1, 1);
      const member = await world.join({ since: { epoch: 'e1', offset: 1 } });
      for (let n = 2; n <= 3; n++) await world.publish(`${n}`);
      world.wire.length = 0;
      const other = await world.join();
      expect(other.told[0]).toMatchObject({ recovered: undefined, reason: undefined });
      expect([other.offsets, member.offsets]).toEqual([[3], [3]]);
    });

    it('goes on with the next value it hears: older ones are missed by nobody', async () => {
      const member = await world.join();
      for (let n = 1; n <= 4; n++) await world.publish(`${n}`);
      world.bring(([, , third, fourth]) => [third, fourth] as Announcement[]);
      expect(member.offsets).toEqual([3, 4]);
      expect((await world.join({ since: { epoch: 'e1', offset: 1 } })).offsets).toEqual([4]);
      expect((await world.join({ since: { epoch: 'e1', offset: 4 } })).offsets).toEqual([]);
      expect(world.log.reads).toBe(0);
      await world.clock.pass(1_000);
      expect(member.resets).toEqual([]);
    });

    it('finds the newest within checkMs, and resets nobody (H9)', async () => {
      const member = await world.join();
      for (let n = 1; n <= 3; n++) await world.publish(`${n}`);
      world.wire.length = 0;
      await world.clock.pass(2 * RULE.checkMs);
      expect([member.offsets, member.resets]).toEqual([[3], []]);
    });

    it('goes on from the newest place when its value has aged out', async () => {
      const member = await world.join();
      for (let n = 1; n <= 3; n++) await world.publish(`${n}`);
      world.wire.length = 0;
      world.rule.ttlMs = RULE.checkMs / 2;
      await world.clock.pass(2 * RULE.checkMs);
      expect([member.offsets, member.resets]).toEqual([[], []]);
      await world.publish('4');
      world.bring();
      expect(member.offsets).toEqual([4]);
    });
  });
});

describe('the time when a message was stored', () => {
  it('is that of the store, by this process’s clock, and never later than it was heard of', () => {
    const times = new StoredTimes();
    const store = 1_000_000;
    expect(times.at(store, 40)).toBe(40); // nothing is known yet
    expect(times.at(store + 10, 20)).toBe(20); // a faster one
    expect(times.at(store + 20, 5_030)).toBe(30);
    expect(times.at(store + 60_000, 90_000)).toBe(60_010); // nothing came faster since
  });

  it('is that of the store again, once its clock was set', () => {
    const times = new StoredTimes();
    times.at(0, 0);
    for (const now of [1_000, 61_000, 121_000]) times.at(now - 3_600_000, now);
    expect(times.at(121_500 - 3_600_000, 121_500)).toBe(121_500);
    expect(times.at(122_000, 122_000)).toBe(122_000);
    expect(times.at(122_000 + 3_600_000, 122_000)).toBe(122_000);
  });
});

describe('a ring', () => {
  it('holds no more than its process may', async () => {
    const budget = new RingBudget(2_000);
    const rings = [new Ring(RULE, budget), new Ring(RULE, budget)];
    for (let n = 1; n <= 50; n++)
      for (const ring of rings) ring.push({ offset: n, storedAt: 0, frame: 'x'.repeat(50), session: undefined }, 0);
    expect(budget.bytes).toBeLessThanOrEqual(2_000);
    for (const ring of rings) ring.clear();
    expect(budget.bytes).toBe(0);
  });
});

describe('what a reader can’t use yet', () => {
  it('is kept within its limits: the first, and what else fits into a megabyte or a thousand', () => {
    const large = new Backlog<number>();
    for (let n = 0; n < 5; n++) large.put(n, n, 700_000);
    expect(large.takeAll()).toEqual([0]);
    for (let n = 0; n < 9; n++) large.put(n, n, 100_000);
    expect(large.take(1)).toBe(1);
    large.put(7, 7, 100_000);
    expect(large.takeAll()).toEqual([0, 2, 3, 4, 7]);
    expect(large.size).toBe(0);
    for (let n = 0; n < 2_000; n++) large.put(n, n, 1);
    expect(large.size).toBe(1_000);
  });
});

describe('members of a room', () => {
  it('see every publication once and in order, or are told, whatever the network does', async () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ op: fc.constant('publish' as const) }) },
      {
        weight: 4,
        arbitrary: fc.record({ op: fc.constant('bring' as const), order: fc.array(fc.nat(9), { maxLength: 8 }) }),
      },
      { weight: 2, arbitrary: fc.record({ op: fc.constant('join' as const) }) },
      { weight: 3, arbitrary: fc.record({ op: fc.constant('leave' as const), who: fc.nat(5) }) },
      { weight: 3, arbitrary: fc.record({ op: fc.constant('return' as const), who: fc.nat(5) }) },
      { weight: 2, arbitrary: fc.record({ op: fc.constant('pass' as const), ms: fc.constantFrom(10, 60, 16_000) }) },
      { weight: 1, arbitrary: fc.record({ op: fc.constant('clear' as const) }) },
      { weight: 1, arbitrary: fc.record({ op: fc.constant('away' as const), isAway: fc.boolean() }) },
      { weight: 1, arbitrary: fc.record({ op: fc.constant('restart' as const) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80, size: 'max' }), async (steps) => {
        world = new World();
        world.rule.size = 20;
        world.rule.recoverMax = 12;
        const gone: Member[] = [];
        let published = 0;
        const attempt = (joining: Promise<unknown>): Promise<unknown> =>
          joining.catch((error: unknown) => expect(error).toBeInstanceOf(LogUnavailableError));
        for (const each of steps) {
          if (each.op === 'publish') await world.publish(`${++published}`);
          else if (each.op === 'bring') world.bring((wire) => each.order.flatMap((at) => wire[at] ?? []));
          else if (each.op === 'join') await attempt(world.join());
          else if (each.op === 'leave') {
            const member = [...world.members][each.who];
            if (member && world.members.delete(member)) gone.push(member);
          } else if (each.op === 'return') {
            const [member] = gone.splice(each.who, 1);
            if (member) await attempt(world.join({ since: member.position }, member));
          } else if (each.op === 'pass') await world.clock.pass(each.ms);
          else if (each.op === 'clear') await world.log.clear(ROOM);
          else if (each.op === 'away') world.log.isAway = each.isAway;
          else {
            // The process ends: its members are gone, and come to another.
            world.reader.stop();
            gone.push(...world.members);
            world.members.clear();
            world.reader = world.newReader();
          }
        }
        world.log.isAway = false;
        world.bring();
        await world.clock.pass(40_000);
        const [top] = await world.log.top([ROOM]);
        for (const member of world.members) judge(member, top as RoomPosition);
      }),
      { numRuns: 500 },
    );
  });
});

/** Nothing lost, twice, out of order or changed between what a member was told. */
function judge(member: Member, top: RoomPosition): void {
  expect(member.position).toEqual(top);
  for (const { epoch, offset, frame } of member.seen) expect(frame).toBe(world.ledger.get(`${epoch}/${offset}`));
  expect(member.flaws).toEqual([]);
}
