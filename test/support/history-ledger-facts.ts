import type { RoomPosition } from '../../lib/index.js';

/** What a publisher was told: the place, or why there is none. */
export type PublishAnswer = (RoomPosition & { isDuplicate: boolean }) | { code: string };

/** What a client was told when it asked for a room by hand. */
export interface JoinAnswer extends RoomPosition {
  since?: RoomPosition | undefined;
  recovered?: boolean | undefined;
  reason?: string | undefined;
  missed: number;
  /** It asked for so many of the newest. */
  tail?: number | undefined;
}

/** What happened to a client in a room, in order. */
export type Told =
  | { kind: 'joined'; answer: JoinAnswer | undefined }
  | { kind: 'seen'; token: string; at: RoomPosition }
  | { kind: 'cut' }
  | { kind: 'recovered'; missed: number }
  | { kind: 'reset'; reason: string; position: RoomPosition | undefined }
  | { kind: 'left' };

export interface HistoryReport {
  /** Publications; what became of them; those a second try found stored. */
  published: number;
  stored: number;
  unknown: number;
  unavailable: number;
  duplicates: number;
  /** What clients saw; how often one came back and got the rest; how often one was told to begin anew. */
  seen: number;
  recovered: number;
  resets: number;
  /** Never came to a client that had been told it would. */
  lost: string[];
  /** Came twice to a client, or lies twice in one epoch. */
  twice: string[];
  /** Came after a later one. */
  reordered: string[];
  /** Nobody published it, its publisher was told that nothing was stored, or its client isn't in the room. */
  phantom: string[];
  /** `recovered: true`, and then not what came after the client's place. */
  falselyRecovered: string[];
  /** A client was told to begin anew without need, for the same loss again, or without a reason of the list. */
  falselyReset: string[];
  /** One place, two publications. */
  renamed: string[];
}

export const isPlace = (answer: PublishAnswer): answer is RoomPosition & { isDuplicate: boolean } => 'epoch' in answer;

/** Nothing was stored, whichever try is asked. */
export const isRefused = (answers: PublishAnswer[]): boolean =>
  answers.length > 0 && answers.every((answer) => 'code' in answer && answer.code === 'UNAVAILABLE');
