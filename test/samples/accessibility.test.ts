import { afterAll, beforeAll, expect, it } from '@jest/globals';
import axe from 'axe-core';
import type { Page } from 'playwright-core';
import { describeInChromium } from './chromium-windows.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { type RunningSample, startSample } from './start-sample.js';

const SIZES = { phone: { width: 375, height: 720 }, desktop: { width: 1280, height: 800 } };
type Size = keyof typeof SIZES;

/** WCAG 2.2 up to AA, and what axe calls best practices. */
const ALL: axe.RunOptions = {
  runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
  rules: { 'target-size': { enabled: true } }, // axe leaves it out unless it is named
  resultTypes: ['violations'],
};
/** All that colours have a part in. */
const COLOURS: axe.RunOptions = { runOnly: ['color-contrast', 'link-in-text-block'], resultTypes: ['violations'] };

/** What axe finds wrong with a page as it is now, in the light and in the dark, on a phone and on a desktop. */
async function violationsOf(page: Page, sizes: Size[] = ['phone', 'desktop']): Promise<string[]> {
  await page.evaluate(axe.source); // not a script of the page, which its policy (CSP) would refuse
  const found: string[] = [];
  for (const size of sizes) {
    await page.setViewportSize(SIZES[size]);
    for (const [colorScheme, rules] of [
      ['light', ALL],
      ['dark', COLOURS],
    ] as const) {
      await page.emulateMedia({ colorScheme });
      const { violations } = await page.evaluate((options) => window.axe.run(document, options), rules);
      for (const { id, help, nodes } of violations) {
        const where = nodes.map(({ html, failureSummary }) => `${html}\n${failureSummary}`);
        found.push(`${size}, ${colorScheme}: ${help} (${id})\n${where.join('\n')}`);
      }
    }
  }
  return found;
}

declare global {
  interface Window {
    axe: typeof axe;
  }
}

const enter = async (page: Page, name: string): Promise<void> => {
  await page.getByRole('textbox', { name: 'Your name' }).fill(name);
  await page.getByRole('textbox', { name: 'Your name' }).press('Enter');
};

describeInChromium('axe has nothing to say about', { needsRedis: true }, (windows) => {
  /** All start at once. Each is behind a network that can be cut. */
  const starting = new Map<string, Promise<{ sample: RunningSample; network: TcpProxy }>>();

  async function start(name: string): Promise<{ sample: RunningSample; network: TcpProxy }> {
    const sample = await startSample(name, { CHAT_DB: ':memory:' });
    return { sample, network: await TcpProxy.start(Number(new URL(sample.url).port)) };
  }

  async function networkOf(name: string): Promise<TcpProxy> {
    const started = await starting.get(name);
    if (!started) throw new Error(`${name} was not started.`);
    return started.network;
  }

  beforeAll(() => {
    for (const name of ['01-chat', '02-game', '04-cluster', '05-queue']) starting.set(name, start(name));
  });
  afterAll(async () => {
    for (const started of await Promise.allSettled(starting.values())) {
      if (started.status !== 'fulfilled') continue;
      const { sample, network } = started.value;
      await Promise.all([network.stop(), sample.stop()]);
    }
  });

  it('the page of the chat', async () => {
    const network = await networkOf('01-chat');
    const [page, other] = [await windows.open(network.httpUrl), await windows.open(network.httpUrl)];
    const say = async (who: Page, text: string): Promise<void> => {
      const box = who.getByRole('textbox', { name: /^Message/ });
      await box.fill(text);
      await box.press('Enter');
    };
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Enter');
    await page.getByText('Please enter a name.').waitFor();
    expect(await violationsOf(page)).toEqual([]);

    await enter(page, 'Ada');
    await page.getByText('This is the beginning of general').waitFor();
    expect(await violationsOf(page)).toEqual([]);

    await enter(other, 'Grace Hopper');
    await other.getByText('This is the beginning of general').waitFor(); // it is in the room
    await say(other, 'Good morning!');
    await page.locator('.bubble').getByText('Good morning!').waitFor();
    await say(page, 'Good morning, Grace.');
    await page.getByRole('button', { name: 'Join random' }).click();
    await page.getByRole('heading', { level: 1, name: 'random' }).waitFor();
    await say(other, 'And a good night');
    await page.getByRole('button', { name: 'general 1 unread' }).waitFor();
    await say(page, 'x'.repeat(1_001));
    await page.getByRole('button', { name: 'Edit' }).waitFor();
    expect(await violationsOf(page)).toEqual([]);

    await page.getByRole('button', { name: 'general 1 unread' }).click();
    await page.getByRole('button', { name: 'Change your name' }).click();
    expect(await violationsOf(page)).toEqual([]);
    await page.keyboard.press('Escape');

    network.cut();
    await page.getByRole('status').getByText('The connection is lost.').waitFor();
    await say(page, 'Are you still there?');
    await page.getByText('Waits for the connection').waitFor();
    expect(await violationsOf(page)).toEqual([]);
    await page.setViewportSize(SIZES.phone);
    for (const name of ['Rooms', /show who/]) {
      await page.getByRole('button', { name }).click();
      expect(await violationsOf(page, ['phone'])).toEqual([]);
      await page.keyboard.press('Escape');
    }
  });

  it('the page of the game', async () => {
    const network = await networkOf('02-game');
    const [page, friend] = [await windows.open(network.httpUrl), await windows.open(network.httpUrl)];
    await page.getByText('Connected', { exact: true }).waitFor();
    expect(await violationsOf(page)).toEqual([]);
    await enter(page, 'Ada');
    await page.getByText('Waiting for an opponent').waitFor();
    expect(await violationsOf(page)).toEqual([]);

    await friend.goto(page.url());
    await friend.getByRole('heading', { name: 'You are invited' }).waitFor();
    expect(await violationsOf(friend)).toEqual([]);
    await enter(friend, 'Grace');
    for (const [who, column] of [
      [page, 4],
      [friend, 1],
      [page, 4],
      [friend, 2],
      [page, 4],
    ] as const) {
      await who.getByText('Your turn').waitFor();
      await who.keyboard.press(String(column));
    }
    await friend.getByText('Your turn').waitFor();
    expect(await violationsOf(friend)).toEqual([]);
    expect(await violationsOf(page)).toEqual([]);
    await friend.keyboard.press('3');
    await page.getByText('Your turn').waitFor();
    await page.keyboard.press('4');
    await page.getByText('You win!').waitFor();
    expect(await violationsOf(page)).toEqual([]);

    network.cut();
    await page.getByText('Reconnecting…').waitFor();
    await page.getByRole('button', { name: 'Leave' }).click();
    expect(await violationsOf(page)).toEqual([]);
  });

  it('the page of the cluster', async () => {
    const network = await networkOf('04-cluster');
    const page = await windows.open(network.httpUrl);
    await page.getByText('3 of 3 nodes run').waitFor();
    expect(await violationsOf(page)).toEqual([]);
    for (const name of ['Ada', 'Grace', 'Alan']) {
      await page.getByRole('button', { name: 'Add a guest' }).click();
      await page.getByRole('article').getByText(name).waitFor();
    }
    await page.getByRole('textbox', { name: 'Message' }).fill('Hello, all of you');
    await page.keyboard.press('Enter');
    await page.getByText('1 on node A, 1 on node B, 1 on node C').waitFor();
    expect(await violationsOf(page)).toEqual([]);
    await page.getByRole('button', { name: /^Stop.*A$/ }).click();
    await page.getByRole('button', { name: /^Kill.*B$/ }).click();
    await page.getByText('Still listed').waitFor();
    await page.getByRole('button', { name: 'Send' }).click();
    expect(await violationsOf(page)).toEqual([]);
    network.cut();
    await page.getByText('Trying again').first().waitFor();
    expect(await violationsOf(page)).toEqual([]);
  });

  it('the page of the queue', async () => {
    const network = await networkOf('05-queue');
    const page = await windows.open(network.httpUrl);
    const job = async (limit: string, result: string): Promise<void> => {
      await page.getByRole('textbox', { name: 'Primes below' }).fill(limit);
      await page.getByRole('button', { name: 'Start' }).click();
      await page.getByText(result).first().waitFor();
    };
    await page.getByText('Connected', { exact: true }).waitFor();
    expect(await violationsOf(page)).toEqual([]);
    await job('100', '25 primes');
    await page.getByRole('checkbox').check();
    await job('1000', 'It was told to fail');
    await page.getByRole('checkbox').uncheck();
    await job('a lot', 'whole number');
    expect(await violationsOf(page)).toEqual([]);
    for (const sign of ['so far', 'so far', 'two jobs at a time']) await job('1000000000', sign);
    network.cut();
    await page.getByText('Trying again').waitFor();
    expect(await violationsOf(page)).toEqual([]);
  });
});
