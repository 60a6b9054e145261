import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import type * as ClientModule from '../../lib/client/browser.js';
import { findChromium, launchChromium } from '../support/chromium.js';
import { servesClient } from './browser-modules.js';
import { startApp } from '../support/app.js';
import { SECRET, tokenFor } from '../support/tokens.js';
import { aMoment, answerSystem, ScriptedServer } from './support.js';
import type { Peer } from './support.js';

/** What the page keeps for the test's next call into it. */
interface PageState {
  module: typeof ClientModule;
  client: ClientModule.WebSocketClient;
  seen: unknown[];
}

declare const page: PageState;

const hasChromium = findChromium() !== undefined;
const suite = hasChromium ? describe : describe.skip;

suite(`the client in Chromium${hasChromium ? '' : ' (skipped: none found; install it or set CHROMIUM_PATH)'}`, () => {
  let server: ScriptedServer;
  let browser: Browser;
  let tab: Page;
  const complaints: string[] = [];

  beforeAll(async () => {
    server = await ScriptedServer.start(servesClient());
    browser = await launchChromium();
    tab = await browser.newPage();
    tab.on('pageerror', (error) => complaints.push(error.message));
    tab.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    await tab.goto(server.url.replace(/^ws(.*)\/ws$/, 'http$1/'));
    await tab.evaluate(async () => {
      const path = '/client/browser.js';
      const module = (await import(path)) as typeof ClientModule;
      const seen: unknown[] = [];
      const client = new module.WebSocketClient({
        url: '/ws',
        pingIntervalMs: 200,
        reconnect: { minDelayMs: 5, maxDelayMs: 20 },
        events: {
          onConnected: ({ clientId }) => seen.push(`connected ${clientId}`),
          onDisconnected: ({ code, willReconnect }) => seen.push(`disconnected ${code} ${willReconnect}`),
          onError: ({ error }) => seen.push(`error ${error.name}`),
        },
      });
      Object.assign(globalThis, { page: { module, client, seen } });
    });
  });

  afterEach(() => {
    server.answer = answerSystem;
  });

  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  it('connects to a path on the host of its page', async () => {
    await tab.evaluate(() => page.client.connectToServer());
    const state = await tab.evaluate(() => [page.client.state, page.client.clientId, page.client.isClientConnected()]);
    expect(state).toEqual(['open', 'client-1', true]);
    const peer = await server.peers.take();
    expect(peer.request.url).toBe('/ws');
    await peer.next('system', 'ping');
  });

  it('asks and is answered, with a response or an error', async () => {
    server.answer = (frame, peer) => {
      if (frame.action === 'echo') peer.reply(frame, frame.data);
      else if (frame.action === 'fail') peer.refuse(frame, 'FORBIDDEN', 'Not you.');
    };
    const answers = await tab.evaluate(async () => [
      await page.client.request('chat', 'echo', { text: 'Grüße 👋' }),
      await page.client.request('chat', 'fail').catch((error: unknown) => {
        const isRemote = error instanceof page.module.RemoteError;
        return isRemote ? `${error.code}: ${error.message}` : 'something else';
      }),
    ]);
    expect(answers).toEqual([{ text: 'Grüße 👋' }, 'FORBIDDEN: Not you.']);
  });

  it('answers requests of the server and reads binary frames', async () => {
    const peer = server.peers.all[0];
    await tab.evaluate(() => void page.client.on('quiz', 'ask', (data) => `re: ${String(data)}`));
    peer?.socket.send(Buffer.from(JSON.stringify({ type: 'quiz', action: 'ask', id: 1, data: 'ü' })));
    expect(await peer?.next('quiz', 'ask')).toEqual({ type: 'quiz', action: 'ask', id: 1, response: 're: ü' });
  });

  it('streams, and cancels when the loop is left', async () => {
    server.answer = (frame, peer) => {
      if (frame.action === 'ticks') for (const tick of [1, 2, 3]) peer.reply(frame, tick, { more: true });
    };
    const ticks = await tab.evaluate(async () => {
      const taken: number[] = [];
      for await (const tick of page.client.stream<number>('clock', 'ticks')) if (taken.push(tick) === 2) break;
      return taken;
    });
    expect(ticks).toEqual([1, 2]);
    await server.peers.all[0]?.next('system', 'cancel');
  });

  it('reports a bad frame and stays connected', async () => {
    server.peers.all[0]?.socket.send(Buffer.from([0xff, 0xfe]));
    await tab.waitForFunction(() => page.seen.includes('error BadFrameError'));
    expect(await tab.evaluate(() => page.client.state)).toBe('open');
  });

  it('comes back after a restart of the server, and into its rooms', async () => {
    await tab.evaluate(() => page.client.joinRoom('lobby', { username: 'Ada' }));
    server.peers.all[0]?.socket.close(1012);
    const second = await server.peers.take();
    expect((await second.next('system', 'joinRoom')).data).toEqual({ roomName: 'lobby', username: 'Ada' });
    await tab.waitForFunction(() => page.seen.includes('connected client-2'));
    const seen = await tab.evaluate(() => page.seen);
    expect(seen).toEqual(['connected client-1', 'error BadFrameError', 'disconnected 1012 true', 'connected client-2']);
    expect(await tab.evaluate(() => [...page.client.rooms])).toEqual(['lobby']);
  });

  it('disconnects with 1000 instead of a code that browsers may not send', async () => {
    await tab.evaluate(() => page.client.disconnect(1001, 'leaving'));
    expect(await tab.evaluate(() => page.client.state)).toBe('closed');
    expect(await server.peers.all[1]?.closed).toEqual({ code: 1000, reason: 'leaving' });
  });

  it('does not reconnect after a close code that forbids it', async () => {
    await tab.evaluate(() => page.client.connectToServer());
    const third = await server.peers.take();
    third.socket.close(4010, 'kicked');
    await tab.waitForFunction(() => page.seen.includes('disconnected 4010 false'));
    expect(await tab.evaluate(() => page.client.state)).toBe('closed');
  });

  it('sends its token as a protocol that is not selected, a new one with every connect', async () => {
    const protocols = await tab.evaluate(async () => {
      let asked = 0;
      const client = new page.module.WebSocketClient({ url: '/ws', token: () => `t.o.${++asked}` });
      for (let round = 0; round < 2; round++) {
        await client.connectToServer();
        client.disconnect();
      }
      const unfit = new page.module.WebSocketClient({ url: '/ws', token: 'a b' });
      return [await unfit.connectToServer().catch(({ message }: Error) => message), asked];
    });
    expect(protocols).toEqual([expect.stringContaining("token can't be a protocol"), 2]);
    for (const token of ['t.o.1', 't.o.2']) {
      const peer = await server.peers.take();
      expect(peer.request.headers['sec-websocket-protocol']).toBe(`pxl, bearer.${token}`);
      expect(peer.socket.protocol).toBe('pxl');
    }
  });

  it('may send a token as the only protocol', async () => {
    const running = await startApp({
      options: { auth: { jwt: { secret: SECRET } }, origins: [new URL(tab.url()).origin] },
    });
    try {
      const token = await tokenFor('ada');
      const seen = await tab.evaluate(
        ([url = '', bearer = '']) =>
          new Promise<unknown>((resolve) => {
            const socket = new WebSocket(url, bearer);
            socket.addEventListener('message', ({ data }) => resolve([socket.protocol, JSON.parse(data as string)]));
            socket.addEventListener('error', () => resolve('failed'));
          }),
        [running.url, `bearer.${token}`],
      );
      expect(seen).toEqual([
        `bearer.${token}`,
        expect.objectContaining({ data: expect.objectContaining({ user: { userId: 'ada' } }) }),
      ]);
    } finally {
      await running.close();
    }
  });

  it('resolves a path against the <base href> of its page', async () => {
    await tab.evaluate(async () => {
      const base = document.createElement('base');
      base.href = '/app/';
      document.head.append(base);
      const client = new page.module.WebSocketClient({ url: 'live' });
      await client.connectToServer();
      client.disconnect();
      base.remove();
    });
    expect((await server.peers.take()).request.url).toBe('/app/live');
  });

  it('keeps its session over a reload, and has another in a duplicate of its tab', async () => {
    const sessions: unknown[] = [];
    const { greet } = server;
    server.greet = (peer, clientId) =>
      peer.send({ type: 'system', action: 'connected', data: { clientId, features: ['session'] } });
    const connectIn = async (one: Page): Promise<void> => {
      await one.evaluate(async () => {
        const path = '/client/browser.js';
        const module = (await import(path)) as typeof ClientModule;
        await new module.WebSocketClient({ url: '/ws' }).connectToServer();
      });
      const said = await (await server.peers.take()).next('system', 'session');
      sessions.push((said.data as { session: unknown }).session);
    };
    const context = await browser.newContext();
    try {
      const first = await context.newPage();
      await first.goto(tab.url());
      await connectIn(first);
      const [copy] = await Promise.all([
        context.waitForEvent('page'),
        first.evaluate(() => void window.open('/')), // gets a copy of the storage
      ]);
      await copy.waitForLoadState();
      await connectIn(copy);
      await first.reload();
      await connectIn(first);
    } finally {
      await context.close();
      server.greet = greet;
    }
    expect(sessions).toHaveLength(3);
    expect(sessions[0]).toMatch(/^[\w-]{16,64}$/);
    expect(sessions[1]).not.toBe(sessions[0]);
    expect(sessions[2]).toBe(sessions[0]);
  });

  it('listens to the end of its page once, however many clients the page has', async () => {
    const { greet } = server;
    server.greet = (peer, clientId) =>
      peer.send({ type: 'system', action: 'connected', data: { clientId, features: ['session'] } });
    const one = await browser.newPage();
    try {
      await one.goto(tab.url());
      const added = await one.evaluate(async () => {
        const path = '/client/browser.js';
        const module = (await import(path)) as typeof ClientModule;
        const names: string[] = [];
        const add = globalThis.addEventListener.bind(globalThis);
        globalThis.addEventListener = (...given: Parameters<typeof add>) => {
          names.push(given[0]);
          add(...given);
        };
        for (let n = 0; n < 5; n++) {
          const client = new module.WebSocketClient({ url: '/ws' });
          await client.connectToServer();
          client.disconnect();
        }
        return names.filter((name) => name === 'pagehide').length;
      });
      expect(added).toBe(1);
    } finally {
      await one.close();
      server.greet = greet;
      for (let n = 0; n < 5; n++) await server.peers.take();
    }
  });

  it('goes on after a failed first connect, and says when the next attempt comes', async () => {
    const states = await tab.evaluate(async () => {
      const client = new page.module.WebSocketClient({
        url: 'ws://127.0.0.1:1/ws',
        reconnect: { minDelayMs: 60_000, maxDelayMs: 60_000 },
        events: { onError: () => undefined },
      });
      const before = client.reconnectingIn;
      await client.connectToServer().catch(() => undefined);
      const found = [before, client.state, typeof client.reconnectingIn];
      client.disconnect();
      return [...found, client.state, client.reconnectingIn];
    });
    expect(states).toEqual([undefined, 'reconnecting', 'number', 'closed', undefined]);
    complaints.length = 0; // the page's own words about the refused port
  });

  it('counts an answer that came in time while the page stood still', async () => {
    server.answer = (frame, to) => to.send({ ...frame, data: undefined, response: 'in time' });
    const answer = await tab.evaluate(async () => {
      const client = new page.module.WebSocketClient({ url: '/ws' });
      await client.connectToServer();
      const asked = client.request('a', 'b', undefined, { timeoutMs: 300 });
      await new Promise((resolve) => setTimeout(resolve, 0)); // it is sent
      const end = performance.now() + 600;
      while (performance.now() < end);
      return asked.finally(() => client.disconnect());
    });
    expect(answer).toBe('in time');
  });

  describe('when something wakes the page', () => {
    /** A connected client whose server has been silent for longer than its heartbeat. */
    async function connectSilently(isAlive: boolean, pingIntervalMs = 100): Promise<Peer> {
      server.greet = (peer, clientId) =>
        peer.send({
          type: 'system',
          action: 'connected',
          data: { clientId, heartbeat: { pingIntervalMs, pongTimeoutMs: 1_000 } },
        });
      server.answer = (frame, to) => {
        if (isAlive || to !== first) answerSystem(frame, to);
      };
      await tab.evaluate(
        async (patienceMs) => {
          const reconnect = { minDelayMs: 60_000, maxDelayMs: 60_000 };
          page.client = new page.module.WebSocketClient({
            url: '/ws',
            pingIntervalMs: false,
            pongTimeoutMs: patienceMs,
            reconnect,
          });
          await page.client.connectToServer();
        },
        isAlive ? 1_500 : 300,
      );
      const first = await server.peers.take();
      await aMoment(150);
      return first;
    }

    afterEach(() => tab.evaluate(() => page.client.disconnect()));

    const events: [string, () => void][] = [
      ['online', () => void dispatchEvent(new Event('online'))],
      ['visibilitychange', () => void document.dispatchEvent(new Event('visibilitychange'))],
      ['pageshow', () => void dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))],
    ];

    it.each(events)('replaces a dead connection on %s', async (_name, wake) => {
      await connectSilently(false);
      await tab.evaluate(wake);
      await server.peers.take();
      await tab.waitForFunction(() => page.client.state === 'open');
    });

    it.each(events)('keeps one that answers on %s', async (_name, wake) => {
      const peer = await connectSilently(true);
      const before = server.peers.all.length;
      await tab.evaluate(wake);
      await peer.next('system', 'ping');
      await aMoment(1_700);
      expect(server.peers.all).toHaveLength(before);
      expect(await tab.evaluate(() => page.client.state)).toBe('open');
    });

    it('replaces one that died while the machine slept, when only the wall clock went on', async () => {
      const first = await connectSilently(false, 25_000);
      await tab.evaluate(() => void dispatchEvent(new Event('online')));
      await aMoment();
      expect(first.frames.all).toEqual([]); // it was heard just now
      await tab.evaluate(() => {
        const { now } = Date;
        Date.now = () => now() + 60_000;
        dispatchEvent(new Event('online'));
        Date.now = now;
      });
      await server.peers.take();
      await tab.waitForFunction(() => page.client.state === 'open');
    });

    it('does not wait for the next attempt', async () => {
      const peer = await connectSilently(true);
      peer.socket.terminate();
      await tab.waitForFunction(() => page.client.state === 'reconnecting');
      await tab.evaluate(() => void dispatchEvent(new Event('online')));
      await server.peers.take();
      await tab.waitForFunction(() => page.client.state === 'open');
    });

    it('does nothing once it was disconnected, and leaves no listener behind', async () => {
      await connectSilently(false);
      const count = await tab.evaluate(() => {
        let left = 0;
        const remove = globalThis.removeEventListener.bind(globalThis);
        const removeFromPage = document.removeEventListener.bind(document);
        globalThis.removeEventListener = (...given: Parameters<typeof remove>) => {
          left += 1;
          remove(...given);
        };
        document.removeEventListener = (...given: Parameters<typeof removeFromPage>) => {
          left += 1;
          removeFromPage(...given);
        };
        page.client.disconnect();
        globalThis.removeEventListener = remove;
        document.removeEventListener = removeFromPage;
        return left;
      });
      expect(count).toBe(3);
      const before = server.peers.all.length;
      for (const [, wake] of events) await tab.evaluate(wake);
      await aMoment(500);
      expect(server.peers.all).toHaveLength(before);
    });
  });

  it('settles and throws nothing when it is refused', async () => {
    server.refusal = { status: 401 };
    const name = await tab.evaluate(() => page.client.connectToServer().catch((error: Error) => error.name));
    expect(name).toBe('ConnectionError');
    // Chromium writes a line of its own for the refused handshake.
    expect(complaints.filter((text) => !/WebSocket connection to .* failed/.test(text))).toEqual([]);
  });
});
