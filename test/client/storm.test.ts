import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { MessageBody } from '@nestjs/websockets';
import { WebSocketClient, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { until } from '../support/until.js';
import { cleanUp, onCleanUp } from './support.js';

afterEach(cleanUp);

const CLIENTS = Number(process.env['STORM_CLIENTS'] ?? 200);
const ROOMS = ['chat:1', 'chat:2', 'chat:3'];
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
  const all = Array.from({ length: CLIENTS }, async (): Promise<Member> => {
    const client = new CountingClient({ url: running.url, reconnect: { minDelayMs: 50, maxDelayMs: 1_000 } });
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
  });
  return Promise.all(all);
}

describe('many clients that come back', () => {
  it('C7: send one resume frame each after a drain, and miss nothing', async () => {
    const running = await startApp({ options: HISTORY });
    onCleanUp(() => running.close());
    const all = await members(running);
    const codes: number[] = [];
    const reopened: number[] = [];
    for (const { client } of all) {
      client.on('disconnected', ({ code }) => void codes.push(code));
      client.on('connected', () => void reopened.push(performance.now()));
    }
    for (const clientId of running.clients.getClients().map((client) => client.clientId))
      running.clients.disconnectClient({ clientId, code: 1012 });
    for (let n = 1; n <= 9; n++)
      await running.service.publishToRoom(ROOMS[n % 3] as string, { type: 'chat', action: 'said', data: { n } });
    await until(() => all.every(({ seen }) => seen.length === 9), 20_000);
    expect(codes).toEqual(all.map(() => 1012)); // and none for what it sent, or was sent
    for (const { seen, sent } of all) {
      expect(sent).toEqual(['session', 'joinRooms']); // its name, and one frame for all rooms
      expect(seen.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
    expect(Math.max(...reopened) - Math.min(...reopened)).toBeGreaterThan(200); // half a second of jitter
    expect(running.errors).toEqual([]);
  }, 60_000);

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
    await until(() => held.length === CLIENTS); // one of each client; the others wait for their turn
    const codes: number[] = [];
    for (const { client } of all) client.on('disconnected', ({ code }) => void codes.push(code));
    for (const clientId of running.clients.getClients().map((client) => client.clientId))
      running.clients.disconnectClient({ clientId, code: 1012 });
    await until(() => codes.length === CLIENTS);
    isHeld = false;
    for (const finish of held) finish();
    expect(await Promise.all(replies)).toEqual(names);
    expect(runs.toSorted()).toEqual(names.toSorted());
    expect(codes).toEqual(all.map(() => 1012));
    expect(running.errors).toEqual([]);
  }, 60_000);

  it('C7: load the state of a room that was reset spread over the time that the server says', async () => {
    const running = await startApp({ options: HISTORY });
    onCleanUp(() => running.close());
    const at: number[] = [];
    let isReset = false;
    const all = await members(running, async (roomName) => {
      if (isReset) at.push(performance.now());
      return { position: await running.service.position(roomName) };
    });
    const room = ROOMS[0] as string;
    isReset = true;
    await running.service.clearHistory(room);
    await until(() => all.every(({ client }) => client.room(room).state === 'resetting'));
    await running.service.publishToRoom(room, { type: 'chat', action: 'said', data: { n: 1 } });
    await until(() => all.every(({ client }) => client.room(room).state === 'live'), 20_000);
    expect(at).toHaveLength(CLIENTS); // each once
    const from = Math.min(...at);
    const tenths = Array.from(
      { length: 10 },
      (_, tenth) => at.filter((one) => (one - from) / 100 >= tenth && (one - from) / 100 < tenth + 1).length,
    );
    expect(Math.max(...tenths)).toBeLessThan(CLIENTS / 3); // of a second; evenly it were a tenth
    expect(Math.max(...at) - from).toBeGreaterThan(700);
    for (const { client } of all) expect(client.state).toBe('open');
    expect(running.errors).toEqual([]);
  }, 60_000);
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
