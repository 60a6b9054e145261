import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { findChromium, launchChromium } from '../support/chromium.js';
import { type RunningSample, startSample } from './start-sample.js';

(findChromium() ? describe : describe.skip)('the sample in React', () => {
  let sample: RunningSample;
  let browser: Browser;

  beforeAll(async () => {
    [sample, browser] = await Promise.all([startSample('06-react'), launchChromium()]);
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await sample?.stop();
  });

  const open = async (): Promise<Page> => {
    const page = await browser.newPage();
    await page.goto(sample.url);
    await page.getByText('Connected').waitFor();
    return page;
  };

  it('shows one page what another says, also what was said before it came', async () => {
    const [ada, bob] = [await open(), await open()];
    for (const text of ['one', 'two']) {
      await ada.getByLabel('Say').fill(text);
      await ada.getByRole('button', { name: 'Send' }).click();
      await bob.getByText(text, { exact: true }).waitFor();
    }
    const late = await open();
    await late.getByText('two', { exact: true }).waitFor();
    expect(await late.getByRole('listitem').allInnerTexts()).toEqual(['one', 'two']);
  }, 30_000);
});
