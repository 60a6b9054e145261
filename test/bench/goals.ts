import type { PeerName } from './peers.js';

export interface Goal {
  against: PeerName;
  /** Ours at most so many times theirs… */
  atMost?: number;
  /** …or at least. */
  atLeast?: number;
  /** Ours at most theirs and so much more, in the row's unit. */
  atMostPlus?: number;
  /** Compared with another figure than the row's own. */
  figure?: string;
}

export interface Row {
  figure: string;
  title: string;
  unit: 'µs' | 'ms' | 'KB' | 'MB' | 'commands' | 'frames' | 'deliveries/s';
  goals: Goal[];
  /** Ours in these rows stays so near to their mean. */
  flat?: { figures: string[]; within: number };
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
    { against: 'bun', atMost: 1.1 },
  ],
});

export const GROWTH = [100, 1_000, 10_000];

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
      { against: 'ws', atMost: 0.25 },
      { against: 'nest-ws', atMost: 0.35 },
    ],
  },
  ...[1, 16].flatMap((depth): Row[] => [
    {
      figure: `keys${depth} without`,
      title: `Request and reply without a key, ${depth} at a time each`,
      unit: 'µs',
      goals: [],
    },
    {
      figure: `keys${depth} with`,
      title: `The same with a key, ${depth} at a time each`,
      unit: 'µs',
      goals: [{ against: 'ours', figure: `keys${depth} without`, atMost: 1.1 }],
    },
    {
      figure: `keys${depth} unordered`,
      title: `The same with keys in no order, ${depth} at a time each`,
      unit: 'µs',
      goals: [],
    },
  ]),
  ...(
    [
      [1, 0.9],
      [16, 0.5],
    ] as const
  ).map(([depth, atMost]): Row => ({
    figure: `enhancers${depth}`,
    title: `With a guard, a pipe and an interceptor, ${depth} at a time each`,
    unit: 'µs',
    goals: [{ against: 'nest-ws', atMost }],
  })),
  {
    figure: 'chat',
    title: '1,000 members publish over their own sockets, 20 at a time',
    unit: 'deliveries/s',
    goals: [
      { against: 'socket.io', atLeast: 12 },
      { against: 'bun', atLeast: 0.8 },
    ],
  },
  {
    figure: 'latency',
    title: 'A message to 1,000 from an idle server: p99 latency',
    unit: 'ms',
    goals: [{ against: 'ws', atMost: 1.05 }],
  },
  ...(
    [
      ['paced', 'one message per 10 ms', 0.6],
      ['burst', 'bursts of 20', 0.12],
      ['flat out', 'flat out', 0.06],
    ] as const
  ).map(([name, title, atMost]): Row => ({
    figure: `cluster ${name}`,
    title: `Two nodes over Redis, 500 members on the other, ${title}: per delivery there`,
    unit: 'µs',
    goals: [{ against: 'socket.io', atMost }],
  })),
  {
    figure: 'publisher',
    title: 'Four nodes, 1,000 rooms of 5 on one of them: per message on the publisher',
    unit: 'µs',
    goals: [{ against: 'socket.io', atMost: 0.6 }],
  },
  {
    figure: 'bystander',
    title: 'The same: per message on a node without members',
    unit: 'µs',
    goals: [{ against: 'socket.io', atMost: 0.005 }],
  },
  {
    figure: 'accept',
    title: 'Accepting a connection',
    unit: 'µs',
    goals: [{ against: 'ws', atMost: 1.25 }],
  },
  {
    figure: 'memory',
    title: 'Memory of an idle connection (RSS)',
    unit: 'KB',
    goals: [{ against: 'ws', atMostPlus: 2 }],
  },
  { figure: 'base', title: 'Memory of the process before its first connection (RSS)', unit: 'MB', goals: [] },
  {
    figure: 'idle',
    title: 'Heartbeats of 10,000 idle connections: per connection and minute',
    unit: 'µs',
    goals: [{ against: 'socket.io', atMost: 1 }],
  },
  ...GROWTH.map((size, index): Row => ({
    figure: `growth ${size}`,
    title: `Growth: one message at a time to a room of ${size.toLocaleString('en')}, per delivery`,
    unit: 'µs',
    goals: [],
    flat: index === GROWTH.length - 1 ? { figures: GROWTH.map((each) => `growth ${each}`), within: 0.2 } : undefined,
  })),
  {
    figure: 'presence join',
    title: 'A room of 1,000 that says who is in it, 10 joins and leaves a second: per join',
    unit: 'µs',
    goals: [{ against: 'socket.io', atMost: 0.5 }],
  },
  {
    figure: 'presence bytes',
    title: 'The same: what one member is told a second',
    unit: 'KB',
    goals: [],
  },
  {
    figure: 'presence frames',
    title: 'The same: in so many frames',
    unit: 'frames',
    goals: [{ against: 'socket.io', atMost: 0.6 }],
  },
  {
    figure: 'history publish',
    title: 'Rooms that keep messages, two nodes, bursts of 20 to 20 rooms: per message on the publisher',
    unit: 'µs',
    goals: [{ against: 'socket.io', atMost: 0.5 }],
  },
  {
    figure: 'history member',
    title: 'The same: per delivery on the node of 500 members',
    unit: 'µs',
    goals: [{ against: 'socket.io', atMost: 0.5 }],
  },
  {
    figure: 'storm cpu',
    title: '5,000 clients come back to 3 such rooms each and get 9 messages: per client',
    unit: 'µs',
    goals: [{ against: 'socket.io', atMost: 1 }],
  },
  {
    figure: 'storm time',
    title: 'The same: until all have everything',
    unit: 'ms',
    goals: [{ against: 'socket.io', atMost: 1 }],
  },
  {
    figure: 'storm commands',
    title: 'The same: what Redis does for each',
    unit: 'commands',
    goals: [{ against: 'socket.io', atMost: 1 }],
  },
  {
    figure: 'storm reads',
    title: 'The same: reads of histories',
    unit: 'commands',
    goals: [{ against: 'socket.io', atMost: 0 }],
  },
  ...(
    [
      ['plain', 'A room with a member'],
      ['kept', 'A room with a member that keeps messages'],
      ['full', 'What 20 messages in each add to it'],
    ] as const
  ).flatMap(([name, title]): Row[] => [
    { figure: `room ${name} node`, title: `${title}: in the process`, unit: 'KB', goals: [] },
    { figure: `room ${name} redis`, title: `${title}: in Redis`, unit: 'KB', goals: [] },
  ]),
  {
    figure: 'beside none',
    title: 'A message to 1,000 where no room keeps messages: per delivery',
    unit: 'µs',
    goals: [],
  },
  {
    figure: 'beside history',
    title: 'The same where others do',
    unit: 'µs',
    goals: [{ against: 'ours', figure: 'beside none', atMost: 1.05 }],
  },
  { figure: 'join 1000', title: 'Growth: a join among 1,000 rooms', unit: 'µs', goals: [] },
  {
    figure: 'join 50000',
    title: 'Growth: a join among 50,000 rooms',
    unit: 'µs',
    goals: [{ against: 'ours', figure: 'join 1000', atMost: 1 }],
  },
];
