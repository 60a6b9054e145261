import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { describeInChromium } from './chromium-windows.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { pageSentences } from './page-sentences.js';
import { type RunningSample, startSample } from './start-sample.js';

/** How a player drops a disc into a column, counted from 1. */
type Hand = (page: Page, column: number) => Promise<void>;

const byMouse: Hand = (page, column) => page.getByRole('button', { name: `Column ${column},` }).click();
const byDigit: Hand = (page, column) => page.keyboard.press(String(column));
const byArrows: Hand = async (page, column) => {
  await page.keyboard.press('Home');
  for (let step = 1; step < column; step++) await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Enter');
};

async function enter(page: Page, name: string, button: string): Promise<void> {
  await page.getByLabel('Your name').fill(name);
  await page.getByRole('button', { name: button }).click();
}

const headline = (page: Page, text: string): Promise<void> =>
  page.getByRole('status').getByText(text, { exact: true }).waitFor();

/** Each move as soon as it is the player's turn. */
async function play(moves: [Page, Hand, number][]): Promise<void> {
  for (const [page, hand, column] of moves) {
    await headline(page, 'Your turn');
    await hand(page, column);
  }
}

describeInChromium('the page of the game sample', {}, (windows) => {
  let sample: RunningSample;

  beforeAll(async () => {
    sample = await startSample('02-game');
  });
  afterAll(() => sample?.stop());

  const open = async (url: string, options?: BrowserContextOptions): Promise<Page> =>
    windows.open(url, await windows.newContext(options));

  /** @param given.url where Ada finds the server, if not where Bob does */
  async function beginGame(
    given: { url?: string; bob?: BrowserContextOptions } = {},
  ): Promise<{ ada: Page; bob: Page }> {
    const ada = await open(given.url ?? sample.url);
    await enter(ada, 'Ada', 'Start a game');
    await headline(ada, 'Waiting for an opponent');
    const { search } = new URL(await ada.getByLabel('Send this link').inputValue());
    const bob = await open(`${sample.url}/${search}`, given.bob);
    await enter(bob, 'Bob <b>', 'Join the game');
    await headline(ada, 'Your turn');
    await headline(bob, 'Ada’s turn');
    return { ada, bob };
  }

  it('plays to a win, one with the mouse and the other with the keyboard, and once more', async () => {
    const { ada, bob } = await beginGame({ bob: { viewport: { width: 360, height: 740 } } });
    expect(await ada.getByRole('listitem').filter({ hasText: 'Bob <b>' }).count()).toBe(1);
    await play([
      [ada, byMouse, 4],
      [bob, byDigit, 1],
      [ada, byMouse, 4],
      [bob, byArrows, 7],
      [ada, byMouse, 4],
      [bob, byArrows, 2],
      [ada, byMouse, 4],
    ]);
    await headline(ada, 'You win!');
    await headline(bob, 'Ada wins');
    expect(await bob.locator('.is-winning').count()).toBe(4);
    expect(await ada.getByRole('img', { name: '1 win' }).count()).toBe(1);

    await ada.getByRole('button', { name: 'Play again' }).click();
    await headline(bob, 'Ada wants to play again.');
    await bob.getByRole('button', { name: 'Play again' }).press('Enter');
    await play([
      [bob, byArrows, 3],
      [ada, byMouse, 5],
    ]);
    await headline(bob, 'Your turn');
    await bob.getByRole('button', { name: 'Column 3, from the bottom: yours' }).waitFor();
  });

  it('ignores a click out of turn, and fits on a phone', async () => {
    const { ada, bob } = await beginGame({ bob: { viewport: { width: 320, height: 568 }, hasTouch: true } });
    await bob.getByRole('button', { name: 'Column 1,' }).click({ force: true });
    await ada.getByRole('button', { name: 'Column 6,' }).focus();
    await ada.keyboard.press('Space');
    await headline(bob, 'Ada chose column 6.');
    expect(await bob.locator('.played').count()).toBe(1);
    await bob.getByRole('button', { name: 'Column 1,' }).tap();
    await headline(ada, 'Bob <b> chose column 1.');
    const isWider = await bob.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    expect(isWider).toBe(false);
  });

  it('goes on after a reload, and tells of an opponent who leaves', async () => {
    const { ada, bob } = await beginGame();
    await byMouse(ada, 2);
    await headline(bob, 'Your turn');
    await ada.reload();
    await headline(ada, 'Bob <b>’s turn');
    expect(await ada.locator('.played').count()).toBe(1);

    bob.once('dialog', (dialog) => void dialog.accept());
    await bob.getByRole('button', { name: 'Leave' }).click();
    await bob.getByRole('heading', { name: 'Play with a friend' }).waitFor();
    await headline(ada, 'You win: your opponent left');
    expect(await ada.getByLabel('Send this link').isVisible()).toBe(true);
  });

  it('tells a third that the game is full', async () => {
    const { ada } = await beginGame();
    const third = await open(ada.url());
    await enter(third, 'Eve', 'Join the game');
    await third.getByRole('alert').getByText('This game already has two players.').waitFor();
    await third.getByRole('heading', { name: 'Play with a friend' }).waitFor();
  });

  it('invites nobody to a game that is gone', async () => {
    const page = await open(`${sample.url}/?game=gone`);
    await page.getByRole('heading', { name: 'You are invited to a game' }).waitFor();
    await enter(page, 'Eve', 'Join the game');
    await page.getByRole('alert').getByText('There is no such game any more.').waitFor();
    await page.getByRole('heading', { name: 'Play with a friend' }).waitFor();
    expect(await page.getByText('invited').count()).toBe(0);
    await page.getByRole('button', { name: 'Start a game' }).click();
    await headline(page, 'Waiting for an opponent');
  });

  it('shows no message of the module to a person', async () => {
    const { said, own } = await pageSentences(await open(sample.url), '/words.js', 'describeError');
    for (const sentence of said) expect(sentence).toMatch(/^(?!.*RAW)[A-Z].+\.$/);
    expect(own).toBe('A sentence of the sample.');
  });

  it('shows a lost connection to both, and goes on when it is back', async () => {
    const proxy = await TcpProxy.start(Number(new URL(sample.url).port));
    try {
      const { ada, bob } = await beginGame({ url: proxy.httpUrl });
      proxy.cut();
      await ada.getByText('Reconnecting…').waitFor();
      await headline(ada, 'The connection is lost. The game goes on when it is back.');
      await headline(bob, 'Ada is gone for a moment');
      await byMouse(ada, 4);
      await ada.getByRole('alert').getByText('The server is out of reach. Try again.').waitFor();

      proxy.heal();
      await headline(bob, 'Ada’s turn');
      await ada.getByText('Connected', { exact: true }).waitFor();
      await byMouse(ada, 4);
      await headline(bob, 'Your turn');
    } finally {
      await proxy.stop();
    }
  });
});
