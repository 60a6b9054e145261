import { expect, it } from '@jest/globals';
import type { Attachment } from '../../lib/history/attach.js';
import { HistoryRules } from '../../lib/history/history-options.js';
import type { HistoryRule } from '../../lib/history/history-rule.js';
import { MemoryRoomLog } from '../../lib/history/memory-room-log.js';
import { RoomReaders } from '../../lib/history/room-readers.js';
import type { RoomPosition } from '../../lib/protocol/message.js';
import { ManualClock } from '../support/manual-clock.js';

const ROOM = 'chat:1';

it('outlive the last member by 10 s: who comes back meanwhile costs the store nothing', async () => {
  const clock = new ManualClock();
  const rule = new HistoryRules([{ match: '*' }]).of(ROOM) as HistoryRule;
  const log = new MemoryRoomLog({
    retentionOf: () => rule,
    newEpoch: () => 'e',
    announce: () => undefined,
    now: () => clock.now(),
    wallMs: () => clock.now(),
  });
  let calls = 0;
  let following = 0;
  const readers = new RoomReaders({
    log: {
      read: (...given) => (calls++, log.read(...given)),
      top: (...given) => (calls++, log.top(...given)),
    },
    clock,
    follow: async () => {
      following++;
      return () => void following--;
    },
    failed: (error) => {
      throw error;
    },
  });
  const ended: string[] = [];
  readers.start({ deliver: () => undefined, reset: () => undefined, ended: (room) => void ended.push(room) });
  const comeBack = async (since?: RoomPosition): Promise<Attachment[]> => {
    const attachments: Attachment[] = [];
    await readers.attach(ROOM, rule, { since }, (attachment) => void attachments.push(attachment));
    return attachments;
  };
  await comeBack();
  const first = calls;
  await clock.pass(9_999);
  expect(await comeBack({ epoch: 'e', offset: 0 })).toMatchObject([{ recovered: true, missed: 0 }]);
  expect(calls).toBe(first);
  await clock.pass(9_999);
  expect([readers.size, following, ended]).toEqual([1, 1, []]);
  await clock.pass(1);
  expect([readers.size, following, ended]).toEqual([0, 0, [ROOM]]);
  await comeBack();
  expect(calls).toBeGreaterThan(first);
});
