/** A client that comes back to its rooms: what it says to each frame, and `ready` once it has everything and is live. */
export interface StormClient {
  hear(text: string): 'ready' | { say: string } | undefined;
  /** Its connection ends, and this many messages will wait for it. */
  expect(missed: number): void;
  /** It was told that it can't have them. */
  isLost: boolean;
}

interface Place {
  epoch: string;
  offset: number;
}

interface OurFrame {
  action: string;
  at?: Place & { room: string };
  response?: { roomName: string; data?: { history: Place & { recovered?: boolean } } };
  done?: boolean;
}

/** Of this module: all rooms in one frame, each with its last place. */
export class OurClient implements StormClient {
  isLost = false;
  readonly #since = new Map<string, Place>();
  #left = 0;
  #isJoined = false;
  #isLive = false;

  constructor(private readonly rooms: readonly string[]) {}

  expect(missed: number): void {
    this.#left = missed;
    this.#isJoined = false;
    this.#isLive = false;
  }

  hear(text: string): 'ready' | { say: string } | undefined {
    const { action, at, response, done } = JSON.parse(text) as OurFrame;
    if (action === 'connected') return { say: this.#join() };
    if (at) {
      this.#since.set(at.room, { epoch: at.epoch, offset: at.offset });
      this.#left--;
    }
    const history = response?.data?.history;
    if (history?.recovered === false) this.isLost = true;
    if (history && response && !this.#since.has(response.roomName)) this.#since.set(response.roomName, history);
    if (action === 'joinRooms' && done) this.#isJoined = true;
    if (this.#isLive || !this.#isJoined || this.#left > 0) return undefined;
    this.#isLive = true;
    return 'ready';
  }

  #join(): string {
    const rooms = this.rooms.map((roomName) => ({ roomName, since: this.#since.get(roomName) }));
    return JSON.stringify({ type: 'system', action: 'joinRooms', data: { rooms }, id: 1 });
  }
}

/** Of Socket.IO: the session brings its rooms back (https://socket.io/docs/v4/connection-state-recovery). */
export class SocketIoClient implements StormClient {
  isLost = false;
  #pid: string | undefined;
  #offset = '';
  #left = 0;
  #joined = 0;
  #isLive = false;

  constructor(private readonly rooms: readonly string[]) {}

  expect(missed: number): void {
    this.#left = missed;
    this.#isLive = false;
  }

  hear(text: string): 'ready' | { say: string } | undefined {
    if (text.startsWith('0{'))
      return { say: this.#pid ? `40${JSON.stringify({ pid: this.#pid, offset: this.#offset })}` : '40' };
    if (text.startsWith('40{')) {
      const { pid } = JSON.parse(text.slice(2)) as { pid: string };
      if (this.#pid !== undefined) this.isLost ||= pid !== this.#pid;
      this.#pid = pid;
    } else if (text.startsWith('430')) this.#joined++;
    else if (text.startsWith('42')) {
      this.#offset = (JSON.parse(text.slice(2)) as string[]).at(-1) as string;
      this.#left--;
    }
    if (this.#joined < this.rooms.length) return { say: `420${JSON.stringify(['join', this.rooms[this.#joined]])}` };
    if (this.#isLive || this.#left > 0) return undefined;
    this.#isLive = true;
    return 'ready';
  }
}
