import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { WebSocketOptions } from '../../lib/index.js';
import { CloseCode } from '../../lib/protocol/close-codes.js';
import { VirtualServer } from '../support/virtual-server.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

beforeAll(() => Logger.overrideLogger(false));

let running: VirtualServer | undefined;
afterEach(async () => {
  await running?.stop();
  running = undefined;
});

async function start(options: WebSocketOptions = {}, seed?: number): Promise<VirtualServer> {
  running = await VirtualServer.start({ heartbeat: false, ...options }, seed);
  return running;
}

/** When it was closed, by the clock of the server, and with which code. */
async function endOf({ clock }: VirtualServer, { closed }: { closed: Promise<{ code: number }> }, withinMs: number) {
  const began = clock.now();
  let code: number | undefined;
  let at = 0;
  void closed.then((close) => {
    code ??= close.code;
    at = clock.now() - began;
  });
  await clock.pass(withinMs);
  return { code, at };
}

describe('a server whose clock stands in a test’s hands', () => {
  it('sends its pings, and keeps who answers', async () => {
    const virtual = await start({ heartbeat: { pingIntervalMs: 25 * SECOND, pongTimeoutMs: 10 * SECOND } });
    const ada = await virtual.connect();
    let pings = 0;
    ada.ws.on('ping', () => pings++);
    await virtual.clock.pass(10 * MINUTE);
    expect(pings).toBeGreaterThanOrEqual((10 * MINUTE) / (25 * SECOND));
    expect(pings).toBeLessThanOrEqual((10 * MINUTE) / (0.8 * 25 * SECOND) + 1);
    expect(virtual.server.clientManager.size).toBe(1);
  });

  it('closes who answers no ping, when the pong is due', async () => {
    const virtual = await start({ heartbeat: { pingIntervalMs: 25 * SECOND, pongTimeoutMs: 10 * SECOND } });
    const mute = await virtual.connect({ autoPong: false });
    const { code, at } = await endOf(virtual, mute, MINUTE);
    expect(code).toBe(CloseCode.NoPong);
    expect(at).toBeGreaterThan(10 * SECOND);
    expect(at).toBeLessThan(36 * SECOND);
  });

  it('closes who is idle', async () => {
    const virtual = await start({
      disconnectInactiveClients: { inactiveTimeMs: 24 * HOUR, intervalCheckTimeMs: MINUTE },
    });
    const [idle, busy] = [await virtual.connect(), await virtual.connect()];
    await virtual.clock.pass(20 * HOUR);
    await busy.settle();
    expect(await endOf(virtual, idle, 14 * HOUR)).toEqual({ code: CloseCode.Idle, at: 4 * HOUR });
    expect(await endOf(virtual, busy, 24 * HOUR)).toEqual({ code: CloseCode.Idle, at: 10 * HOUR });
  });

  it('closes who says nothing at first', async () => {
    const virtual = await start({ limits: { firstMessageTimeoutMs: 5 * MINUTE } });
    const [silent, spoken] = [await virtual.connect(), await virtual.connect()];
    await spoken.settle();
    const cutAt = 5 * MINUTE + SECOND; // after the grace for its close frame, which isn't read
    expect(await endOf(virtual, silent, HOUR)).toEqual({ code: CloseCode.Policy, at: cutAt });
    expect(spoken.ws.readyState).toBe(spoken.ws.OPEN);
  });

  it('closes whose token expires, unless a new one came', async () => {
    const clock = (): number => running?.clock.wall() ?? 0;
    const user = (hours: number) => ({ userId: 'ada', payload: {}, expiresAt: clock() + hours * HOUR });
    const virtual = await start({ auth: { authenticate: () => user(2), refresh: () => user(1) } });
    const [ada, renewed] = [await virtual.connect(), await virtual.connect()];
    await virtual.clock.pass(1.5 * HOUR);
    await renewed.request('system', 'refresh', { token: 'new' });
    expect(await endOf(virtual, ada, 45 * MINUTE)).toEqual({ code: CloseCode.TokenExpired, at: 30 * MINUTE });
    expect(await endOf(virtual, renewed, HOUR)).toEqual({ code: CloseCode.TokenExpired, at: 15 * MINUTE });
  });

  it('refuses a token that has expired by this clock', async () => {
    const ada = { userId: 'ada', payload: {}, expiresAt: HOUR };
    const virtual = await start({ auth: { authenticate: () => ada } });
    await virtual.connect();
    await virtual.clock.pass(HOUR);
    await expect(virtual.connect()).rejects.toThrow('401');
  });

  it('gives up a handler that never answers', async () => {
    const virtual = await start({ messages: { handlerTimeoutMs: 10 * MINUTE } });
    virtual.server.route('slow', 'never', () => new Promise(() => undefined));
    const ada = await virtual.connect();
    const reply = ada.request('slow', 'never');
    await ada.settle();
    await virtual.clock.pass(10 * MINUTE - 1);
    expect(ada.received).toEqual([]);
    await virtual.clock.pass(1);
    expect(await reply).toMatchObject({ type: 'error', data: { code: 'TIMEOUT' } });
  });

  it('fills its limits of rate', async () => {
    const messages = { perSecond: 0.001, burst: 2, bytesPerSecond: 1_000, strikes: 100, strikeWindowMs: 1_000 };
    const virtual = await start({ limits: { messages } });
    virtual.server.route('any', 'thing', () => 'done');
    const ada = await virtual.connect();
    for (let n = 0; n < 2; n++) expect(await ada.request('any', 'thing')).toMatchObject({ response: 'done' });
    const refused = await ada.request('any', 'thing');
    expect(refused).toMatchObject({ data: { code: 'RATE_LIMITED', details: { retryAfterMs: 1_000 * SECOND } } });
    await virtual.clock.pass(refused.data.details.retryAfterMs);
    expect(await ada.request('any', 'thing')).toMatchObject({ response: 'done' });
  });

  it('drains in its phases: closes over a minute, and cuts who stays', async () => {
    const virtual = await start({ drain: { spreadMs: MINUTE, terminateAfterMs: 2 * MINUTE } });
    const peers = await Promise.all(Array.from({ length: 12 }, () => virtual.connect()));
    const stays = await virtual.connect();
    stays.ws.pause(); // it never answers the close frame
    const began = virtual.clock.now();
    const ends: number[] = [];
    for (const { closed } of peers) void closed.then(() => ends.push(virtual.clock.now() - began));
    expect(await virtual.stop()).toBe(2 * MINUTE);
    expect(ends).toHaveLength(12);
    expect(ends.filter((at) => at < MINUTE / 2).length).toBeGreaterThanOrEqual(5);
    expect(ends.filter((at) => at > MINUTE / 2).length).toBeGreaterThanOrEqual(5);
    expect(Math.max(...ends)).toBeLessThanOrEqual(MINUTE);
  });

  it('does the same again with the same random numbers', async () => {
    const pingsOf = async (seed: number): Promise<number[]> => {
      const virtual = await start({ heartbeat: { pingIntervalMs: 25 * SECOND, pongTimeoutMs: 10 * SECOND } }, seed);
      const ada = await virtual.connect();
      const pings: number[] = [];
      ada.ws.on('ping', () => pings.push(virtual.clock.now()));
      await virtual.clock.pass(2 * MINUTE);
      await virtual.stop();
      return [...pings, Number(ada.clientId.split('.').at(-1))];
    };
    const first = await pingsOf(1);
    expect(await pingsOf(1)).toEqual(first);
    expect(await pingsOf(2)).not.toEqual(first);
  });
});
