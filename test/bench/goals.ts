import type { PeerName } from './peers.js';

export interface Goal {
  against: PeerName;
  /** Ours at most so many times theirs… */
  atMost?: number;
  /** …or at least. */
  atLeast?: number;
  /** Ours at most theirs and so much more, in the row's unit. */
  atMostPlus?: number;
}

export interface Row {
  figure: string;
  title: string;
  unit: 'µs' | 'ms' | 'KB' | 'deliveries/s';
  goals: Goal[];
}

const fanOut = (size: number, goals: Goal[]): Row => ({
  figure: `fanout ${size}`,
  title: `One message at a time to a room of ${size.toLocaleString('en')}: per delivery`,
  unit: 'µs',
  goals: [{ against: 'net', atMost: 1.15 }, ...goals],
});

const burst = (size: number): Row => ({
  figure: `burst ${size}`,
  title: `Bursts of 20 to a room of ${size.toLocaleString('en')}: per delivery`,
  unit: 'µs',
  goals: [
    { against: 'net', atMost: 0.15 },
    { against: 'socket.io', atMost: 0.1 },
    { against: 'bun', atMost: 1.3 },
  ],
});

/** The table, and what is to be reached. */
export const ROWS: Row[] = [
  fanOut(100, []),
  fanOut(1_000, [{ against: 'socket.io', atMost: 0.6 }]),
  fanOut(5_000, [{ against: 'socket.io', atMost: 0.6 }]),
  burst(100),
  burst(1_000),
  burst(5_000),
  {
    figure: 'echo1',
    title: 'Request and reply, 100 connections, one at a time each: per request',
    unit: 'µs',
    goals: [
      { against: 'ws', atMost: 1.15 },
      { against: 'nest-ws', atMost: 0.6 },
    ],
  },
  {
    figure: 'echo16',
    title: 'The same, 16 at a time each',
    unit: 'µs',
    goals: [
      { against: 'ws', atMost: 0.6 },
      { against: 'nest-ws', atMost: 0.35 },
    ],
  },
];
