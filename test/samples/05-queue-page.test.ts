import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { findChromium, launchChromium } from '../support/chromium.js';
import { hasRedis } from '../support/redis.js';
import { type RunningSample, startSample } from './start-sample.js';

const hasChromium = findChromium() !== undefined;
const isReady = hasChromium && hasRedis();
const suite = isReady ? describe : describe.skip;
const why = isReady ? '' : ` (skipped: there is no ${hasChromium ? 'redis-server' : 'Chromium'})`;

const jobs = (page: Page): Locator => page.getByRole('list', { name: 'Your jobs' }).getByRole('listitem');
const box = (page: Page): Locator => page.getByRole('textbox', { name: 'Primes below' });

async function start(page: Page, limit: string): Promise<void> {
  await box(page).fill(limit);
  await page.getByRole('button', { name: 'Start' }).click();
}

suite(`the page of the queue sample in Chromium${why}`, () => {
  jest.setTimeout(60_000);
  let sample: RunningSample;
  let browser: Browser;
  const contexts: BrowserContext[] = [];
  const problems: string[] = [];

  beforeAll(async () => {
    sample = await startSample('05-queue');
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    await sample?.stop();
  });
  afterEach(async () => {
    await Promise.all(contexts.splice(0).map((context) => context.close()));
    expect(problems.splice(0)).toEqual([]);
  });

  async function newContext(options: BrowserContextOptions = {}): Promise<BrowserContext> {
    const context = await browser.newContext({ reducedMotion: 'reduce', locale: 'en-GB', ...options });
    context.setDefaultTimeout(15_000);
    contexts.push(context);
    return context;
  }

  /** A broken policy (CSP) shows up as an error on the console. */
  async function open(context: BrowserContext): Promise<Page> {
    const page = await context.newPage();
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
    await page.goto(sample.url);
    await page.getByText('Connected', { exact: true }).waitFor();
    return page;
  }

  it('shows a job and its result in the tabs of its browser, and in no other browser', async () => {
    const context = await newContext();
    const [tab, otherTab, stranger] = [await open(context), await open(context), await open(await newContext())];
    await start(tab, '1,000,000');
    for (const page of [tab, otherTab]) {
      await jobs(page).filter({ hasText: 'Primes below 1,000,000' }).getByText('78,498 primes').waitFor();
      await jobs(page).getByText('Done').waitFor();
    }
    await start(stranger, '100');
    await jobs(stranger).getByText('25 primes').waitFor();
    expect(await jobs(stranger).count()).toBe(1);
    expect(await jobs(tab).count()).toBe(1);
  });

  it('shows progress while the worker counts, also after a reload', async () => {
    const page = await open(await newContext());
    await start(page, '500000000');
    await jobs(page)
      .getByText(/so far$/)
      .waitFor();
    await page.reload();
    const bar = page.getByRole('progressbar', { name: /Primes below 500,000,000$/ });
    await bar.waitFor();
    const before = await bar.evaluate((element: HTMLProgressElement) => element.value);
    expect(before).toBeGreaterThan(0);
    await page.waitForFunction((value) => (document.querySelector('progress')?.value ?? 0) > value, before);
    await jobs(page).getByText('26,355,867 primes').waitFor();
  });

  it('shows the error of a job that failed', async () => {
    const page = await open(await newContext());
    await page.getByRole('checkbox', { name: 'Let it fail halfway' }).check();
    await start(page, '10 000');
    await jobs(page).getByText('It was told to fail halfway, and did.').waitFor();
    await jobs(page).getByText('Failed').waitFor();
    expect(await jobs(page).count()).toBe(1);
  });

  it('says what is wrong with a limit, and fits a phone', async () => {
    const page = await open(await newContext({ viewport: { width: 360, height: 700 }, colorScheme: 'dark' }));
    await start(page, 'a lot');
    await page.getByRole('alert').getByText('The limit is').waitFor();
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('limit');
    await box(page).fill('1000');
    await page.keyboard.press('Enter');
    await jobs(page).getByText('168 primes').waitFor();
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
  });
});
