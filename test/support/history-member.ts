import { once } from 'node:events';
import type { WebSocket } from 'ws';
import { type RoomPosition, WebSocketClient } from '../../lib/index.js';
import type { HistoryLedger } from './history-ledger.js';

interface MemberParts {
  name: string;
  ledger: HistoryLedger;
  /** Asked at each attempt to connect. */
  url: () => string;
}

/** A client of ours that writes down what its handlers saw and what it was told, as it happens. */
export class HistoryMember {
  readonly client: WebSocketClient;
  /** For how long it was away, each time, in ms. */
  readonly awayMs: number[] = [];
  /** With which codes its connections ended. */
  readonly closed: number[] = [];
  /** What was told beside its rooms. */
  readonly errors: string[] = [];
  readonly #rooms = new Set<string>();
  #ws: WebSocket | undefined;
  #lostAt = 0;

  private constructor(private readonly parts: MemberParts) {
    const { name, ledger } = parts;
    this.client = new WebSocketClient({
      url: parts.url,
      reconnect: { minDelayMs: 10, maxDelayMs: 300 },
      events: {
        onConnected: ({ ws }) => {
          this.#ws = ws;
          if (this.#lostAt > 0) this.awayMs.push(Date.now() - this.#lostAt);
          this.#lostAt = 0;
        },
        onDisconnected: ({ code }) => {
          this.closed.push(code);
          this.#lostAt ||= Date.now();
          ledger.cut(name);
        },
        onRecovered: ({ roomName, missed }) => ledger.recovered(name, roomName, missed),
        onReset: ({ roomName, reason, position }) => ledger.reset(name, roomName, reason, position),
        onRoomLost: ({ roomName, error }) => void this.errors.push(`${roomName}: ${error.message}`),
        onError: ({ error }) => void this.errors.push(error.message),
      },
    });
    this.client.on('history', 'entry', ({ token }: { token: string }, { at }) => {
      if (at) ledger.seen(name, at.room, token, at);
      else this.errors.push(`${token} has no place`);
    });
  }

  static async start(parts: MemberParts, rooms: readonly string[] = []): Promise<HistoryMember> {
    const member = new HistoryMember(parts);
    await member.client.connectToServer();
    for (const room of rooms) await member.join(room);
    return member;
  }

  get name(): string {
    return this.parts.name;
  }

  async join(room: string, how: { since?: RoomPosition; tail?: number } = {}): Promise<void> {
    const { name, ledger } = this.parts;
    const answered = ledger.joining(name, room);
    const { history } = (await this.client.joinRoom(room, how)) as unknown as { history: Answer };
    this.#rooms.add(room);
    answered({ ...history, ...how });
  }

  async leave(room: string): Promise<void> {
    this.#rooms.delete(room);
    await this.client.leaveRoom(room);
    this.parts.ledger.left(this.name, room);
  }

  /** Whether it has all that there is in its rooms. */
  hasAll(tops: ReadonlyMap<string, RoomPosition>): boolean {
    return [...this.#rooms].every((room) => {
      const [has, is] = [this.client.positionOf(room), tops.get(room)];
      return is === undefined || (has?.epoch === is.epoch && has.offset >= is.offset);
    });
  }

  /** Its socket breaks. Resolves when it knows. */
  async cut(): Promise<void> {
    const ws = this.#ws;
    if (!ws || ws.readyState !== ws.OPEN) return;
    ws.terminate();
    await once(ws, 'close');
  }

  /** Reads nothing for a while. */
  async stall(ms: number): Promise<void> {
    const ws = this.#ws;
    if (!ws || ws.readyState !== ws.OPEN) return;
    ws.pause();
    await new Promise((resolve) => setTimeout(resolve, ms));
    ws.resume();
  }

  /** Its handlers are called no more: nothing is owed to it. */
  stop(): void {
    for (const room of this.#rooms) this.parts.ledger.left(this.name, room);
    this.client.disconnect();
  }
}

interface Answer extends RoomPosition {
  recovered?: boolean;
  reason?: string;
  missed: number;
}
