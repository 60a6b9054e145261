import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import type * as ClientModule from '../../lib/client/browser.js';
import { type RunningApp, startApp } from '../support/app.js';
import { findChromium, launchChromium } from '../support/chromium.js';
import { told } from '../support/presence-observer.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';
import { servesClient } from './browser-modules.js';

const ROOM = 'chat:1';

let stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

/** Joins the room in a page. @returns the page's own id, and those it sees */
const joinIn = (tab: Page, url: string): Promise<{ ownId: string; ids: string[] }> =>
  tab.evaluate(
    async ([url = '', room = '']) => {
      const path = '/client/browser.js';
      const { WebSocketClient } = (await import(path)) as typeof ClientModule;
      const client = new WebSocketClient({ url });
      const handle = client.room(room, { presence: true });
      await client.connectToServer();
      await handle.join();
      return { ownId: String(handle.presence.ownId), ids: [...handle.presence.keys()] };
    },
    [url, ROOM],
  );

/** Reloads the page, and connects to where nothing answers. @returns the names that a duplicated tab would get a copy of */
async function leftInStorage(tab: Page, url: string): Promise<string[]> {
  await tab.reload();
  return tab.evaluate(
    async ([url = '']) => {
      const before = Object.keys(sessionStorage);
      const path = '/client/browser.js';
      const { WebSocketClient } = (await import(path)) as typeof ClientModule;
      const client = new WebSocketClient({ url, reconnect: false, events: { onError: () => undefined } });
      await client.connectToServer().catch(() => undefined);
      if (before.length === 0) throw new Error('The page has kept nothing.');
      return Object.keys(sessionStorage);
    },
    [url],
  );
}

async function startNodes(kind: string, origin: string): Promise<RunningApp[]> {
  const redis = kind === 'one process' ? undefined : await TestRedis.start();
  if (redis) stops.push(() => redis.stop());
  const nodes: RunningApp[] = [];
  for (let n = 0; n < (redis ? 2 : 1); n++) {
    const node = await startApp({
      options: {
        presence: [{ match: 'chat:*', graceMs: 60_000, coalesceMs: 20 }],
        origins: [origin],
        ...(redis && { redis: redis.url }),
      },
    });
    stops.push(() => node.close());
    nodes.push(node);
  }
  return nodes;
}

const hasChromium = findChromium() !== undefined;
const suite = hasChromium ? describe : describe.skip;

suite(`pages of people who don't sign in${hasChromium ? '' : ' (skipped: no Chromium found)'}`, () => {
  let browser: Browser;
  let pages: Server;

  beforeAll(async () => {
    pages = createServer(servesClient());
    await new Promise<void>((resolve) => pages.listen(0, '127.0.0.1', resolve));
    browser = await launchChromium();
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    pages.close();
  });

  it.each(hasRedis() ? ['one process', 'two nodes on Redis'] : ['one process'])(
    'P5: a reload is nothing new to anybody, and each tab is a person, with %s',
    async (kind) => {
      const origin = `http://127.0.0.1:${(pages.address() as AddressInfo).port}`;
      const context = await browser.newContext();
      stops.push(() => context.close());
      const nodes = await startNodes(kind, origin);
      const [first, last] = [nodes[0], nodes.at(-1)] as [RunningApp, RunningApp];
      const observer = await first.connect();
      await observer.join(ROOM, { presence: true });
      const tab = await context.newPage();
      await tab.goto(origin);
      const { ownId, ids } = await joinIn(tab, first.url);
      expect(ids).toContain(ownId);
      await until(() => told(observer).length === 1);
      await tab.reload();
      expect(await joinIn(tab, last.url)).toEqual({ ownId, ids: expect.arrayContaining([ownId, observer.clientId]) });
      const [copy] = await Promise.all([
        context.waitForEvent('page'),
        tab.evaluate(() => void window.open('/')), // gets a copy of the storage
      ]);
      await copy.waitForLoadState();
      const { ownId: other } = await joinIn(copy, last.url);
      await until(() => told(observer).length === 2);
      expect(told(observer)).toEqual([`+${ownId}`, `+${other}`]);
      expect(await leftInStorage(tab, 'ws://127.0.0.1:1')).toEqual([]); // also as long as no server answers
      expect((await first.service.presence(ROOM)).total).toBe(3);
    },
    60_000,
  );
});
