import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Page } from 'playwright-core';
import { describeInChromium } from './chromium-windows.js';
import { type RunningSample, startSample } from './start-sample.js';

describeInChromium('the sample in React', {}, (windows) => {
  let sample: RunningSample;

  beforeAll(async () => {
    sample = await startSample('06-react');
  });
  afterAll(() => sample?.stop());

  const open = async (): Promise<Page> => {
    const page = await windows.open(sample.url);
    await page.getByText('Connected').waitFor();
    return page;
  };

  it('shows one page what another says, also what was said before it came, and how many are open', async () => {
    const [ada, bob] = [await open(), await open()];
    for (const text of ['one', 'two']) {
      await ada.getByLabel('Say').fill(text);
      await ada.getByRole('button', { name: 'Send' }).click();
      await bob.getByText(text, { exact: true }).waitFor();
    }
    const late = await open();
    await late.getByText('two', { exact: true }).waitFor();
    await ada.getByText('Open pages: 3').waitFor();
    expect(await late.getByRole('listitem').allInnerTexts()).toEqual(['one', 'two']);
    await late.close();
    await ada.getByText('Open pages: 2').waitFor();
  });
});
