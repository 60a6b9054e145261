import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { BrowserContext, Locator, Page } from 'playwright-core';
import { describeInChromium } from './chromium-windows.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { type RunningSample, startSample } from './start-sample.js';

const jobs = (page: Page): Locator => page.getByRole('list', { name: 'Your jobs' }).getByRole('listitem');
const box = (page: Page): Locator => page.getByRole('textbox', { name: 'Primes below' });

async function start(page: Page, limit: string): Promise<void> {
  await box(page).fill(limit);
  await page.getByRole('button', { name: 'Start' }).click();
}

describeInChromium('the page of the queue sample', { needsRedis: true }, (windows) => {
  let sample: RunningSample;

  beforeAll(async () => {
    sample = await startSample('05-queue');
  });
  afterAll(() => sample?.stop());

  async function open(context?: BrowserContext, url = sample.url): Promise<Page> {
    const page = await windows.open(url, context);
    await page.getByText('Connected', { exact: true }).waitFor();
    return page;
  }

  it('shows a job and its result in the tabs of its browser, and in no other browser', async () => {
    const context = await windows.newContext();
    const [tab, otherTab, stranger] = [await open(context), await open(context), await open()];
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
    const page = await open();
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
    const page = await open();
    await page.getByRole('checkbox', { name: 'Let it fail halfway' }).check();
    await start(page, '10 000');
    await jobs(page).getByText('It was told to fail halfway, and did.').waitFor();
    await jobs(page).getByText('Failed').waitFor();
    expect(await jobs(page).count()).toBe(1);
  });

  it('keeps what was typed while there is no connection, and says in plain words how things stand', async () => {
    const network = await TcpProxy.start(Number(new URL(sample.url).port));
    try {
      const page = await open(undefined, network.httpUrl);
      await start(page, '100');
      await jobs(page).getByText('25 primes').waitFor();
      network.cut();
      await page.getByText('The connection is lost. Trying again…').waitFor();
      await page.getByText('As they were before the connection was lost.').waitFor();
      await box(page).fill('1000');
      await page.keyboard.press('Enter');
      expect(await page.getByRole('button', { name: 'Start' }).isDisabled()).toBe(true);
      expect(await page.getByRole('alert').count()).toBe(0);

      network.heal();
      await page.getByText('Connected', { exact: true }).waitFor();
      await page.keyboard.press('Enter');
      await jobs(page).getByText('168 primes').waitFor();
      expect(await jobs(page).count()).toBe(2);
    } finally {
      await network.stop();
    }
  });

  it('says what is wrong with a limit, and fits a phone', async () => {
    const page = await open(await windows.newContext({ viewport: { width: 360, height: 700 }, colorScheme: 'dark' }));
    await start(page, 'a lot');
    await page.getByRole('alert').getByText('The limit is').waitFor();
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('limit');
    await box(page).fill('1000');
    await page.keyboard.press('Enter');
    await jobs(page).getByText('168 primes').waitFor();
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
  });
});
