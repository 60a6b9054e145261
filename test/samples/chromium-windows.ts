import { afterAll, afterEach, beforeAll, describe, expect } from '@jest/globals';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import { findChromium, launchChromium } from '../support/chromium.js';
import { hasRedis } from '../support/redis.js';
import { PATIENCE_MS } from '../support/stopwatch.js';

/** What Chromium logs by itself when a server is away. A broken policy (CSP) is another message. */
const NO_NETWORK = /^WebSocket connection to|net::ERR_(SOCKET_NOT_CONNECTED|CONNECTION_|EMPTY_RESPONSE)/;

/** Windows of the one Chromium of a suite. Each is closed after its test, which fails when a page reported an error. */
export interface Windows {
  /** A browser of its own: with its own cookies and storage. Nothing moves, so that no test waits for an animation. */
  newContext(options?: BrowserContextOptions): Promise<BrowserContext>;
  /** @param context where the window opens; in a context of its own without one */
  open(url: string, context?: BrowserContext): Promise<Page>;
}

/** A suite that needs a Chromium. Without one it is skipped, and its name says so. */
export function describeInChromium(
  name: string,
  { needsRedis = false }: { needsRedis?: boolean },
  tests: (windows: Windows) => void,
): void {
  const missing = findChromium() === undefined ? 'Chromium' : needsRedis && !hasRedis() ? 'redis-server' : undefined;
  const suite = missing ? describe.skip : describe;
  suite(missing ? `${name} (skipped: there is no ${missing})` : name, () => {
    tests(useWindows());
  });
}

function useWindows(): Windows {
  let browser: Browser | undefined;
  const contexts: BrowserContext[] = [];
  const problems: string[] = [];

  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser?.close());
  afterEach(async () => {
    await Promise.all(contexts.splice(0).map((context) => context.close()));
    expect(problems.splice(0)).toEqual([]);
  });

  const newContext: Windows['newContext'] = async (options) => {
    if (!browser) throw new Error('Chromium runs from beforeAll() on.');
    const context = await browser.newContext({ reducedMotion: 'reduce', locale: 'en-GB', ...options });
    context.setDefaultTimeout(PATIENCE_MS);
    contexts.push(context);
    return context;
  };
  return {
    newContext,
    async open(url, context) {
      const page = await (context ?? (await newContext())).newPage();
      page.on('pageerror', (error) => problems.push(error.message));
      page.on('console', (message) => {
        if (message.type() === 'error' && !NO_NETWORK.test(message.text())) problems.push(message.text());
      });
      await page.goto(url);
      return page;
    },
  };
}
