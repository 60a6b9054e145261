import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { MessageBody } from '@nestjs/websockets';
import { WebSocketClient, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { until } from '../support/until.js';
import { cleanUp, onCleanUp } from './support.js';

afterEach(cleanUp);

const CLIENTS = Number(process.env['STORM_CLIENTS'] ?? 200);
/** How many connect at the same time. They come back all together. */
const AT_ONCE = 200;
const PATIENCE_MS = 20_000 + 5 * CLIENTS;
const ROOMS = ['chat:1', 'chat:2', 'chat:3'];
jest.setTimeout(2 * PATIENCE_MS + 20_000);

const HISTORY = { rooms: { history: [{ match: 'chat:*' }] } };

interface Member {
  client: WebSocketClient;
  seen: number[];
  /** What it sent on its newest connection. */
  sent: string[];
}

/** Counts what it sends, with each connection anew. */
class CountingClient extends WebSocketClient {
  sent: string[] = [];

  protected override createSocket(...given: Parameters<WebSocketClient['createSocket']>) {
    const socket = super.createSocket(...given);
    const sent: string[] = (this.sent = []);
    const send = socket.send.bind(socket) as (data: string) => void;
    socket.send = (data: unknown) => {
      sent.push((JSON.parse(String(data)) as { action: string }).action);
      send(data as string);
    };
    return socket;
  }
}

async function members(running: RunningApp, loadState?: (roomName: string) => Promise<object>): Promise<Member[]> {
  const begin = async (): Promise<Member> => {
    const client = new CountingClient({
      url: running.url,
      reconnect: { minDelayMs: 50, maxDelayMs: 1_000 },
      connectTimeoutMs: 60_000,
    });
    onCleanUp(() => client.disconnect());
    const member: Member = {
      client,
      seen: [],
      get sent() {
        return client.sent;
      },
    };
    client.on('chat', 'said', ({ n }: { n: number }) => void member.seen.push(n));
    await client.connectToServer();
    for (const name of ROOMS)
      await client.room(name, loadState && { loadState: () => loadState(name) as never }).join();
    return member;
  };
  const all: Member[] = [];
  while (all.length < CLIENTS)
    all.push(...(await Promise.all(Array.from({ length: Math.min(AT_ONCE, CLIENTS - all.length) }, begin))));
  return all;
}

/**
 * Tenths of a second, counted by timers. A process that stands still for a while then runs all timers that are due in their
 * order, so that this count says when something was due, and a clock doesn't.
 */
class Ruler {
  tenths = 0;

  start(): void {
    for (let n = 1; n <= 10; n++) {
      const timer = setTimeout(() => this.tenths++, 100 * n);
      onCleanUp(() => clearTimeout(timer));
    }
  }
}

describe('many clients that come back', () => {
  it('C7: send one resume frame each after a drain, and miss nothing', async () => {
    const running = await startApp({ options: HISTORY });
    onCleanUp(() => running.close());
    const all = await members(running);
    const codes: number[] = [];
    const waits: number[] = [];
    for (const { client } of all) {
      client.on('disconnected', ({ code }) => void codes.push(code));
      client.on('reconnecting', ({ delayMs }) => void waits.push(delayMs));
    }
    for (const clientId of running.clients.getClients().map((client) => client.clientId))
      running.clients.disconnectClient({ clientId, code: 1012 });
    for (let n = 1; n <= 9; n++)
      await running.service.publishToRoom(ROOMS[n % 3] as string, { type: 'chat', action: 'said', data: { n } });
    await until(() => all.every(({ seen }) => seen.length === 9), PATIENCE_MS);
    expect(codes).toEqual(all.map(() => 1012)); // and none for what it sent, or was sent
    for (const { seen, sent } of all) {
      expect(sent).toEqual(['session', 'joinRooms']); // its name, and one frame for all rooms
      expect(seen.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
    expect(Math.max(...waits) - Math.min(...waits)).toBeGreaterThan(200); // half a second of jitter
    expect(running.errors).toEqual([]);
  });

  it('C5: C7: send again what had no answer, and each is handled once', async () => {
    const runs: string[] = [];
    let isHeld = true;
    const held: (() => void)[] = [];
    @Injectable()
    class Slow {
      @WsRoute('slow', 'work', { idempotent: true })
      async work(@MessageBody() name: string): Promise<string> {
        runs.push(name);
        if (isHeld) await new Promise<void>((resolve) => held.push(resolve));
        return name;
      }
    }
    const running = await startApp({ options: HISTORY, providers: [Slow] });
    onCleanUp(() => running.close());
    const all = await members(running);
    const names = all.flatMap((_, n) => [1, 2, 3].map((m) => `${n}-${m}`));
    const replies = all.flatMap(({ client }, n) =>
      [1, 2, 3].map((m) => client.request('slow', 'work', `${n}-${m}`, { retry: true })),
    );
    await until(() => held.length === CLIENTS, PATIENCE_MS); // one of each client; the others wait for their turn
    const codes: number[] = [];
    for (const { client } of all) client.on('disconnected', ({ code }) => void codes.push(code));
    for (const clientId of running.clients.getClients().map((client) => client.clientId))
      running.clients.disconnectClient({ clientId, code: 1012 });
    await until(() => codes.length === CLIENTS, PATIENCE_MS);
    isHeld = false;
    for (const finish of held) finish();
    expect(await Promise.all(replies)).toEqual(names);
    expect(runs.toSorted()).toEqual(names.toSorted());
    expect(codes).toEqual(all.map(() => 1012));
    expect(running.errors).toEqual([]);
  });

  it('C7: load the state of a room that was reset spread over the time that the server says', async () => {
    const running = await startApp({ options: HISTORY });
    onCleanUp(() => running.close());
    const at: number[] = [];
    let isReset = false;
    const ruler = new Ruler();
    const all = await members(running, async (roomName) => {
      if (isReset) at.push(ruler.tenths);
      return { position: await running.service.position(roomName) };
    });
    const room = ROOMS[0] as string;
    all[0]?.client.on('reset', () => ruler.start());
    isReset = true;
    await running.service.clearHistory(room);
    await until(() => all.every(({ client }) => client.room(room).state === 'resetting'), PATIENCE_MS);
    await running.service.publishToRoom(room, { type: 'chat', action: 'said', data: { n: 1 } });
    await until(() => all.every(({ client }) => client.room(room).state === 'live'), PATIENCE_MS);
    expect(at).toHaveLength(CLIENTS); // each once
    const tenths = Array.from({ length: 10 }, (_, tenth) => at.filter((one) => one === tenth).length);
    expect(Math.max(...tenths)).toBeLessThan(CLIENTS / 3); // of a second; evenly it were a tenth
    expect(Math.max(...at)).toBeGreaterThanOrEqual(7);
    for (const { client } of all) expect(client.state).toBe('open');
    expect(running.errors).toEqual([]);
  });
});

describe('what a server may send', () => {
  it("C9: is read by the client with both at their defaults, however deep the server's limit", async () => {
    const running = await startApp({ options: { ...HISTORY, messages: { maxDepth: 200 } } });
    onCleanUp(() => running.close());
    const client = new WebSocketClient({ url: running.url });
    onCleanUp(() => client.disconnect());
    const lost: unknown[] = [];
    const errors: unknown[] = [];
    client.on('disconnected', (params) => void lost.push(params));
    client.on('error', (params) => void errors.push(params));
    const heard: string[] = [];
    client.on('chat', 'said', (data) => void heard.push(JSON.stringify(data)));
    await client.connectToServer();
    await client.room('chat:1').join();
    let deep: unknown = 'here';
    for (let level = 0; level < 190; level++) deep = { deep };
    await running.service.publishToRoom('chat:1', { type: 'chat', action: 'said', data: deep });
    await until(() => heard.length === 1);
    expect(heard[0]).toBe(JSON.stringify(deep));
    // The longest that such a room takes: 1 MiB. On the wire it has its place, too.
    const longest = 'x'.repeat(1_048_576 - JSON.stringify({ type: 'chat', action: 'said', data: '' }).length);
    await running.service.publishToRoom('chat:1', { type: 'chat', action: 'said', data: longest });
    await until(() => heard.length === 2 || lost.length > 0);
    expect([lost, errors]).toEqual([[], []]);
    expect(heard[1]).toHaveLength(longest.length + 2);
  });
});
