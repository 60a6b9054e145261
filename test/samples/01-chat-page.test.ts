import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { BrowserContext, Locator, Page } from 'playwright-core';
import { type Frame, Peer } from '../support/peer.js';
import { describeInChromium } from './chromium-windows.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { pageSentences } from './page-sentences.js';
import { type RunningSample, startSample } from './start-sample.js';

const room = (page: Page, name: string | RegExp): Locator =>
  page.getByRole('navigation', { name: 'Your rooms' }).getByRole('button', { name });
const bubble = (page: Page, text: string): Locator => page.locator('.bubble').getByText(text, { exact: true });
const ownBubble = (page: Page, text: string): Locator =>
  page.locator('.is-own .bubble').getByText(text, { exact: true });
const people = (page: Page): Locator => page.getByRole('complementary', { name: 'Who is here' }).getByRole('listitem');
const box = (page: Page): Locator => page.getByRole('textbox', { name: /^Message/ });

/** The room comes into view once the server has let one in; until then what is typed is for the room before. */
async function joinRoom(page: Page, name: string): Promise<void> {
  await page.getByRole('button', { name: `Join ${name}` }).click();
  await page.getByRole('heading', { level: 1, name }).waitFor();
}

async function openRoom(page: Page, name: string): Promise<void> {
  await page.getByRole('textbox', { name: 'Open or join a room' }).fill(name);
  await page.getByRole('button', { name: 'Join', exact: true }).click();
  await page.getByRole('heading', { level: 1, name }).waitFor();
}

async function say(page: Page, text: string): Promise<void> {
  await box(page).fill(text);
  await box(page).press('Enter');
}

/** Says it, and waits until it is stored: `data-status` is what the style of a message hangs on. */
async function sayAndStore(page: Page, text: string): Promise<void> {
  await say(page, text);
  await page
    .locator('.message.is-own[data-status="sent"]')
    .filter({ has: bubble(page, text) })
    .waitFor();
}

const focused = (page: Page): Promise<string> => page.evaluate(() => document.activeElement?.id ?? '');

describeInChromium('the page of the chat sample', {}, (windows) => {
  let folder: string;
  let sample: RunningSample;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'pxl-chat-page-'));
    sample = await startSample('01-chat', { CHAT_DB: join(folder, 'chat.db') });
  });
  afterAll(async () => {
    await sample?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function enter(name: string, context?: BrowserContext, url = sample.url): Promise<Page> {
    const page = await windows.open(url, context);
    await page.getByRole('textbox', { name: 'Your name' }).fill(name);
    await page.getByRole('button', { name: 'Enter the chat' }).click();
    await page.locator('#status').getByText('Connected').waitFor({ state: 'attached' });
    return page;
  }

  it('lets two windows of one browser chat as two people', async () => {
    const context = await windows.newContext();
    const ada = await enter('Ada Lovelace', context);
    const bob = await enter('Bob', context);

    await people(ada).filter({ hasText: 'Bob' }).waitFor();
    await people(bob).filter({ hasText: 'Ada Lovelace' }).waitFor();
    await people(bob).filter({ hasText: 'Bobyou' }).waitFor();

    await box(ada).pressSequentially('Hel');
    await bob.getByText('Ada Lovelace is typing…').waitFor();
    await say(ada, 'Hello, Bob!');
    await bubble(bob, 'Hello, Bob!').waitFor();
    await bob.getByText('Ada Lovelace is typing…').waitFor({ state: 'detached' });
    await ownBubble(ada, 'Hello, Bob!').waitFor();
    await sayAndStore(bob, '<img src=x onerror=alert(1)> & hello');
    await bubble(ada, '<img src=x onerror=alert(1)> & hello').waitFor();
    expect(await ownBubble(ada, '<img src=x onerror=alert(1)> & hello').count()).toBe(0);
    expect(await bubble(ada, 'Hello, Bob!').count()).toBe(1);

    await bob.close();
    await people(ada).filter({ hasText: 'Bob' }).waitFor({ state: 'detached' });
  });

  it('shows somebody with several windows once, and that they were here a moment ago', async () => {
    const context = await windows.newContext();
    const bob = await enter('Bob');
    const [ada, again] = [await enter('Ada', context), await enter('Ada', context)];
    for (const page of [bob, ada, again]) await openRoom(page, 'tabs');
    for (const [page, names] of [
      [bob, ['Bob', 'Ada']],
      [ada, ['Ada', 'Bob']],
      [again, ['Ada', 'Bob']],
    ] as const) {
      await people(page).nth(1).waitFor();
      expect(await people(page).locator('.person-name').allInnerTexts()).toEqual(names);
    }
    const wasHere = bob.getByText('Ada was here a moment ago.');
    await ada.close();
    await again.reload();
    await people(again).nth(1).waitFor();
    await sayAndStore(again, 'Back again');
    await bubble(bob, 'Back again').waitFor();
    expect([await people(bob).count(), await wasHere.count()]).toEqual([2, 0]);

    await again.close();
    await wasHere.waitFor();
    expect(await people(bob).locator('.person-name').allInnerTexts()).toEqual(['Bob']);
    await windows.open(sample.url, context); // knows who and where it was
    await people(bob).filter({ hasText: 'Ada' }).waitFor();
    expect(await wasHere.count()).toBe(0);
  });

  it('says how many are there where they are too many to list', async () => {
    const ada = await enter('Ada');
    await openRoom(ada, 'crowd');
    const url = `${sample.url.replace('http', 'ws')}/ws`;
    const crowd = await Promise.all(Array.from({ length: 201 }, () => Peer.open(url)));
    for (const [at, peer] of crowd.entries()) await peer.join('crowd', { username: `Guest ${at}` });
    await ada.getByText('202 people are here: too many to list.').waitFor();
    expect(await people(ada).count()).toBe(0);
    for (const peer of crowd.slice(0, 100)) peer.terminate();
    await people(ada).filter({ hasText: 'Adayou' }).waitFor();
    // On a busy machine they don't all leave in one moment.
    await people(ada).nth(102).waitFor({ state: 'detached' });
    expect(await people(ada).count()).toBe(102);
    for (const peer of crowd) peer.terminate();
  });

  it('counts what is unread in rooms that are not in view', async () => {
    const [ada, bob] = [await enter('Ada'), await enter('Bob')];
    for (const page of [ada, bob]) await joinRoom(page, 'random');
    await room(ada, 'general').click();
    for (const text of ['One', 'Two']) await sayAndStore(bob, text);
    await room(ada, 'random 2 unread').waitFor();
    expect(await ada.title()).toBe('(2) general – Chat');

    await room(ada, /^random/).click();
    await bubble(ada, 'Two').waitFor();
    await ada.getByText('New', { exact: true }).waitFor();
    await room(ada, /unread/).waitFor({ state: 'detached' });
    expect(await ada.title()).toBe('random – Chat');
  });

  it('opens a room by name, shows it to others, and leaves it', async () => {
    const [ada, bob] = [await enter('Ada'), await enter('Bob')];
    await ada.getByRole('textbox', { name: 'Open or join a room' }).fill('Blümchen & Bäume');
    await ada.getByText('The room will be called “blumchen-baume”.').waitFor();
    await ada.getByRole('button', { name: 'Join', exact: true }).click();
    await ada.getByRole('heading', { level: 1, name: 'blumchen-baume' }).waitFor();
    await joinRoom(bob, 'blumchen-baume');
    await sayAndStore(bob, 'Nice room');
    await bubble(ada, 'Nice room').waitFor();

    await ada.getByRole('button', { name: 'Leave blumchen-baume' }).click();
    await ada.getByRole('heading', { level: 1, name: 'general' }).waitFor();
    await people(bob).filter({ hasText: 'Ada' }).waitFor({ state: 'detached' });
    await ada.getByRole('button', { name: 'Join blumchen-baume' }).waitFor();
  });

  it('shows why a message was refused and gives it back to be mended', async () => {
    const ada = await enter('Ada');
    await say(ada, 'x'.repeat(1_001));
    await ada.getByRole('alert').getByText('Not sent: A message has 1 to 1,000 characters.').waitFor();
    await ada.getByRole('button', { name: 'Edit' }).click();
    expect(await box(ada).inputValue()).toHaveLength(1_001);
    await sayAndStore(ada, 'Shorter');
    expect(await ada.locator('.bubble').getByText('xxx').count()).toBe(0);
  });

  it('shows no message of the module to a person', async () => {
    const page = await windows.open(sample.url);
    const { said, own } = await pageSentences(page, '/js/sentences.js', 'sentenceOf');
    for (const sentence of said) expect(sentence).toMatch(/^(?!.*RAW)[A-Z].+\.$/);
    expect(own).toBe('A sentence of the sample.');
  });

  it('knows after a reload who and where one was, and shows the last 50 messages', async () => {
    const ada = await enter('Ada');
    await joinRoom(ada, 'help');
    const bob = await Peer.open(`${sample.url.replace('http', 'ws')}/ws`);
    await bob.join('help', { username: 'Bob' });
    const answer = (number: number): Promise<Frame> =>
      bob.request('chat', 'send', { roomName: 'help', text: `Answer ${number}` });
    for (let number = 1; number <= 25; number++) await answer(number);
    await sayAndStore(ada, 'A question in between');
    for (let number = 26; number <= 51; number++) await answer(number);
    await bubble(ada, 'Answer 51').waitFor();
    bob.terminate();

    await ada.reload();
    await bubble(ada, 'Answer 51').waitFor();
    const answers = Array.from({ length: 49 }, (_, index) => `Answer ${index + 3}`);
    expect(await ada.locator('.bubble').allInnerTexts()).toEqual(answers.toSpliced(23, 0, 'A question in between'));
    expect(await ada.locator('.is-own .bubble').allInnerTexts()).toEqual(['A question in between']);
    expect(await bubble(ada, 'Answer 51').isVisible()).toBe(true);
    expect(await ada.title()).toBe('help – Chat');
    await room(ada, 'general').waitFor();
    expect(await ada.getByRole('dialog').count()).toBe(0);
  });

  it('comes back into its rooms when the server was killed and started again, and sends what waited', async () => {
    const [ada, bob] = [await enter('Ada'), await enter('Bob')];
    for (const page of [ada, bob]) await joinRoom(page, 'random');
    await sayAndStore(ada, 'Before');
    await bubble(bob, 'Before').waitFor();

    sample.child.kill('SIGKILL');
    await sample.stop();
    for (const page of [ada, bob]) {
      await page.getByRole('status').getByText('The connection is lost.').waitFor();
      await page
        .getByText(/^Reconnecting( in \d+ s|…)$/)
        .first()
        .waitFor();
    }
    await say(ada, 'Meanwhile');
    await ada.getByText('Waits for the connection').waitFor();

    sample = await startSample('01-chat', { CHAT_DB: join(folder, 'chat.db'), PORT: new URL(sample.url).port });
    await Promise.all([ada, bob].map((page) => page.getByRole('status').getByText('Connected again.').waitFor()));
    const reset = 'The server started anew, so the messages were loaded again.';
    for (const page of [ada, bob]) await page.getByText(reset).waitFor();
    await bubble(bob, 'Meanwhile').waitFor();
    await sayAndStore(bob, 'After');
    await bubble(ada, 'After').waitFor();
    expect((await ada.locator('.bubble').allInnerTexts()).slice(-3)).toEqual(['Before', 'Meanwhile', 'After']);
    expect(await ada.locator('.message[data-status="waiting"]').count()).toBe(0);
    for (const page of [ada, bob]) {
      await people(page).filter({ hasText: 'Ada' }).waitFor();
      await people(page).filter({ hasText: 'Bob' }).waitFor();
    }
    await room(bob, 'general').click();
    await sayAndStore(bob, 'Here, too');
    await room(ada, /^general \d+ unread/).waitFor();
  });

  it('says how many messages were missed while the connection was lost, and shows them once and in order', async () => {
    const network = await TcpProxy.start(Number(new URL(sample.url).port));
    try {
      const ada = await enter('Ada', undefined, network.httpUrl);
      await joinRoom(ada, 'help');
      const bob = await Peer.open(`${sample.url.replace('http', 'ws')}/ws`);
      await bob.join('help', { username: 'Bob' });
      const say = (text: string): Promise<Frame> => bob.request('chat', 'send', { roomName: 'help', text });
      await say('Still here');
      await bubble(ada, 'Still here').waitFor();

      network.cut();
      await ada.getByRole('status').getByText('The connection is lost.').waitFor();
      bob.send('chat', 'typing', { roomName: 'help', isTyping: true });
      const missed = Array.from({ length: 12 }, (_, index) => `Missed ${index + 1}`);
      for (const text of missed) await say(text);
      network.heal();

      await ada.getByRole('status').getByText('Connected again. You missed 12 messages.').waitFor();
      await bubble(ada, 'Missed 12').waitFor();
      await say('And on it goes');
      await bubble(ada, 'And on it goes').waitFor();
      const shown = await ada.locator('.bubble, .divider-notice').allInnerTexts();
      expect(shown.slice(-15)).toEqual(['Still here', 'You missed 12 messages.', ...missed, 'And on it goes']);
      expect(await ada.getByText('is typing').count()).toBe(0);
      bob.terminate();
    } finally {
      await network.stop();
    }
  });

  it('works with the keyboard alone', async () => {
    const page = await windows.open(sample.url);
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    expect(await focused(page)).toBe('name');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').getByText('Please enter a name.').waitFor();
    await page.keyboard.type('Kay');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'general' }).waitFor();
    expect(await focused(page)).toBe('text');

    await page.keyboard.type('First line');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('second line');
    await page.keyboard.press('Enter');
    await page.locator('.is-own[data-status="sent"] .bubble').getByText('First line\nsecond line').waitFor();

    const reached: string[] = [];
    const nameOf = (): Promise<string> =>
      page.evaluate(() => (document.activeElement as HTMLElement).innerText.replace(/\s+/g, ' ').trim());
    await page.locator('.skip-link').focus();
    for (let step = 0; step < 4; step++) {
      reached.push(await nameOf());
      await page.keyboard.press('Tab');
    }
    expect(reached).toEqual(['Skip to the message box', 'general', 'Join random', 'Join help']);
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'help' }).waitFor();
    expect(await focused(page)).toBe('text');

    await page.keyboard.press('Alt+ArrowUp');
    await page.getByRole('heading', { level: 1, name: 'general' }).waitFor();
    await page.keyboard.press('Alt+ArrowDown');
    await page.getByRole('heading', { level: 1, name: 'help' }).waitFor();
  });

  it('fits a phone: rooms and people are drawers that give the focus back', async () => {
    const context = await windows.newContext({ viewport: { width: 360, height: 640 }, isMobile: true, hasTouch: true });
    const page = await enter('Zoë', context);
    const isOverflowing = (): Promise<boolean> =>
      page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    expect(await room(page, 'general').isVisible()).toBe(false);

    await page.getByRole('button', { name: 'Rooms' }).tap();
    await page.getByRole('button', { name: 'Join random' }).tap();
    await page.getByRole('heading', { level: 1, name: 'random' }).waitFor();
    await room(page, 'random').waitFor({ state: 'hidden' });
    expect(await focused(page)).toBe('open-rooms');

    await page.getByRole('button', { name: /show who/ }).tap();
    await people(page).filter({ hasText: 'Zoëyou' }).waitFor();
    expect(await page.locator('main').evaluate((main: HTMLElement) => main.inert)).toBe(true);
    await page.keyboard.press('Escape');
    expect(await focused(page)).toBe('open-people');

    await box(page).fill('w'.repeat(200));
    await page.getByRole('button', { name: 'Send' }).tap();
    await ownBubble(page, 'w'.repeat(200)).waitFor();
    expect(await isOverflowing()).toBe(false);
    expect(await page.getByRole('button', { name: 'Send' }).isVisible()).toBe(true);
  });

  it('is entered under another name later on', async () => {
    const [ada, bob] = [await enter('Ada'), await enter('Bob')];
    await ada.getByRole('button', { name: 'Change your name' }).click();
    await ada.getByRole('textbox', { name: 'Your name' }).fill('Countess');
    await ada.keyboard.press('Enter');
    await people(bob).filter({ hasText: 'Countess' }).waitFor();
    // Others may see the name before its own answer has come and the dialog is closed. Until then, it gets the keys.
    await ada.getByRole('dialog').waitFor({ state: 'hidden' });
    await sayAndStore(ada, 'Still me');
    await bob
      .locator('.message', { has: bubble(bob, 'Still me') })
      .getByText('Countess')
      .waitFor();
  });
});
