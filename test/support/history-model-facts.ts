import type { Announcement } from '../../lib/history/announcement.js';
import type { Attachment } from '../../lib/history/attach.js';
import type { CatchUps } from '../../lib/history/catch-up.js';
import type { LogEntry, RoomLog } from '../../lib/history/room-log.js';
import type { RoomReaders } from '../../lib/history/room-readers.js';
import type { RoomPosition } from '../../lib/protocol/message.js';

/** Where a model's room is kept, and what it is announced with. */
export interface ModelStore {
  log: RoomLog;
  /** What was announced since it was asked last; what is under way is waited for. */
  announced(): Promise<Announcement[]>;
  /** Restarts empty. */
  wipe(): Promise<void>;
  /** Restarts with what it had at the last `save()`. */
  save(): Promise<void>;
  restore(): Promise<void>;
}

/** What happens next. Numbers are taken modulo what there is. */
export type Operation =
  | { kind: 'publish'; key: number | undefined; version: number }
  | { kind: 'join'; member: number; node: number; tail: number }
  | { kind: 'leave' | 'cut' | 'take'; member: number }
  /** One call of a node to the log goes on: it is executed, or its answer arrives. */
  | { kind: 'step'; pick: number }
  | { kind: 'hear'; node: number; how: 'pass' | 'lose' | 'twice' | 'late' }
  | { kind: 'pass'; ms: number }
  | { kind: 'away' | 'back' | 'clear' | 'wipe' | 'save' | 'restore' };

export interface Pending {
  run: () => Promise<void>;
  hasRun: boolean;
  answer: () => void;
}

export type Frame =
  | { kind: 'answer'; since: RoomPosition | undefined; tail: number; attachment: Attachment }
  | { kind: 'entry'; epoch: string; entry: LogEntry }
  | { kind: 'reset'; position: RoomPosition; reason: string };

/** A client: what is on its way to it is lost with its connection. */
export interface Member {
  name: string;
  node: number;
  /** `away` remembers its place, `out` doesn't. */
  state: 'out' | 'away' | 'joining' | 'in';
  connection: number;
  inbox: Frame[];
  /** It gets by itself what it missed: what is delivered to the room isn't for it. */
  isApart: boolean;
  position: RoomPosition | undefined;
}

export interface Node {
  readers: RoomReaders;
  catchUps: CatchUps;
  queue: Announcement[];
  listeners: Set<(said: Announcement) => void>;
}
