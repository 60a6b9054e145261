import { FIRST_SEQ, PEOPLE, PERSON, TEXT } from './contract.js';

/** How a client of a server talks. A text with `FIRST_SEQ` in it is a template: the load puts its own numbers there. */
export interface Dialect {
  path: string;
  /**
   * What to do with a frame before the connection is ready: it is ready now, or something has to be said. Absent where a
   * connection is ready with its upgrade.
   */
  greeted?: (text: string) => 'ready' | { say: string } | undefined;
  /** The answer contains `"join`. */
  join: (room: string) => string;
  /** Joins the room that says who is in it, and what the answer begins with. */
  joinPresent?: string;
  joinedPresent?: string;
  request: string;
  /** The same to a handler with a guard, a pipe and an interceptor. */
  guardedRequest: string;
  /** The same to a handler that runs once for each key. `RUN` is replaced by a time, so that no key comes twice. */
  keyedRequest?: string;
  /** Has the server publish to the room. */
  say: string;
}

const data = { seq: FIRST_SEQ, at: 1_700_000_000_000_000, text: TEXT };
const plain = (type: string): string => JSON.stringify({ type: 'bench', action: type, data, id: FIRST_SEQ });

/** A UUID of version 7, as our client makes them: 12 digits of time, and in order. */
const key = `RUN-7000-8000-00${FIRST_SEQ}`;
const once = JSON.stringify({ type: 'bench', action: 'once', data, id: FIRST_SEQ, key });

const PLAIN: Dialect = {
  path: '/',
  join: (room) => JSON.stringify({ type: 'bench', action: 'join', data: { room } }),
  request: plain('echo'),
  guardedRequest: plain('guarded'),
  say: JSON.stringify({ type: 'bench', action: 'say', data }),
};

export const DIALECTS = {
  plain: PLAIN,
  ours: {
    ...PLAIN,
    keyedRequest: once,
    path: '/ws',
    greeted: (text) => (text.includes('"connected"') ? 'ready' : undefined),
    joinPresent: JSON.stringify({
      type: 'system',
      action: 'joinRoom',
      id: 1,
      data: { roomName: PEOPLE, presence: true, presenceData: PERSON },
    }),
    joinedPresent: '"joinRoom"',
    join: (roomName) => JSON.stringify({ type: 'system', action: 'joinRoom', data: { roomName }, id: 1 }),
  },
  nest: {
    path: '/',
    join: (room) => JSON.stringify({ event: 'join', data: { room } }),
    request: JSON.stringify({ event: 'echo', data }),
    guardedRequest: JSON.stringify({ event: 'guarded', data }),
    say: JSON.stringify({ event: 'say', data }),
  },
  socketio: {
    path: '/socket.io/?EIO=4&transport=websocket',
    greeted: (text) => {
      if (text.startsWith('0{')) return { say: '40' };
      return text.startsWith('40{') ? 'ready' : undefined;
    },
    joinPresent: `420${JSON.stringify(['enter', PEOPLE, PERSON])}`,
    joinedPresent: '430[',
    join: (room) => `420${JSON.stringify(['join', room])}`,
    request: `42${FIRST_SEQ}${JSON.stringify(['echo', data])}`,
    guardedRequest: '',
    say: `42${JSON.stringify(['say', data])}`,
  },
} satisfies Record<string, Dialect>;
