import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { BrowserContextOptions, Locator, Page } from 'playwright-core';
import { describeInChromium } from './chromium-windows.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { type RunningSample, startSample } from './start-sample.js';

const node = (page: Page, name: string): Locator => page.getByRole('article', { name: `Node ${name}` });
const clients = (page: Page, name: string): Locator => node(page, name).getByRole('listitem');
const someone = (page: Page, name: string): Locator =>
  page.getByRole('article').getByRole('listitem').filter({ hasText: name });
const press = (page: Page, name: string): Promise<void> => page.getByRole('button', { name, exact: true }).click();
/** Everything that the page says of the people in rooms, from now on. */
const sayings = (page: Page): Promise<() => Promise<string[]>> =>
  page
    .evaluateHandle(() => {
      const said = new Set<string>();
      const place = document.querySelector('#present') as HTMLElement;
      const look = (): unknown => said.add(place.innerText);
      look();
      new MutationObserver(look).observe(place, { childList: true, characterData: true, subtree: true });
      return said;
    })
    .then((said) => () => said.evaluate((all) => [...all]));
const happened = (page: Page, text: string): Locator => page.getByRole('log').getByText(text, { exact: true });

describeInChromium('the page of the cluster sample', { needsRedis: true }, (windows) => {
  let sample: RunningSample;

  beforeAll(async () => {
    sample = await startSample('04-cluster');
  });
  afterAll(() => sample?.stop());

  async function open(options?: BrowserContextOptions, url = sample.url): Promise<Page> {
    const page = await windows.open(url, await windows.newContext(options));
    await page.getByText('3 of 3 nodes run, 0 clients').waitFor();
    return page;
  }

  async function addGuests(page: Page, names: string[], room = 'general'): Promise<void> {
    for (const name of names) {
      await press(page, 'Add a guest');
      await someone(page, name)
        .filter({ hasText: `#${room}` })
        .waitFor();
    }
  }

  it('shows a message arrive on all nodes', async () => {
    const page = await open();
    await addGuests(page, ['Ada', 'Grace', 'Alan']);
    for (const name of ['A', 'B', 'C']) expect(await clients(page, name).count()).toBe(1);

    const text = '<img src=x onerror=alert(1)> & hello';
    await page.getByRole('textbox', { name: 'Message' }).fill(text);
    await page.keyboard.press('Enter');
    await page
      .getByRole('status')
      .getByText(`“${text}” reached the guests in #general: 1 on node A, 1 on node B, 1 on node C.`)
      .waitFor();
    for (const name of ['A', 'B', 'C']) await clients(page, name).getByText(text).waitFor();
  });

  it('shows whom a window of the chat is connected to, and its messages', async () => {
    const page = await open();
    await addGuests(page, ['Ada']);
    const link = node(page, 'C').getByRole('link', { name: 'Chat here on node C' });
    const [chat] = await Promise.all([page.waitForEvent('popup'), link.click()]);
    await chat.getByRole('textbox', { name: 'Your name' }).fill('Zoë');
    await chat.getByRole('button', { name: 'Enter the chat' }).click();
    await clients(page, 'C').filter({ hasText: 'Zoë' }).filter({ hasText: '#general' }).waitFor();

    await chat.getByRole('textbox', { name: /^Message/ }).fill('Hello from a window');
    await chat.keyboard.press('Enter');
    await someone(page, 'Ada').getByText('Hello from a window').waitFor();
    await chat.close();
    await clients(page, 'C').filter({ hasText: 'Zoë' }).waitFor({ state: 'detached' });
  });

  it('kills a node: its guests move, and their ghosts are gone from it', async () => {
    const page = await open();
    await addGuests(page, ['Ada', 'Grace', 'Alan']);
    const name = (await clients(page, 'B').locator('.client-name').innerText()).trim();
    const elsewhere = page.locator(`.node:not([aria-labelledby="node-B"])`).getByText(name, { exact: true });

    await press(page, 'Kill node B');
    await node(page, 'B').getByText('Killed', { exact: true }).waitFor();
    await elsewhere.waitFor();
    await clients(page, 'B').waitFor({ state: 'detached' });
    await happened(page, `${name} is gone from node B: its node is lost.`).waitFor();
    await page.getByText('2 of 3 nodes run, 3 clients').waitFor();

    await press(page, 'Start node B');
    await node(page, 'B').getByText('Running', { exact: true }).waitFor();
    await node(page, 'B').getByText('Nobody is connected.').waitFor();
  });

  it('kills a node, and nobody sees anybody leave or come', async () => {
    const page = await open();
    await page.getByRole('textbox', { name: 'Room' }).first().fill('calm'); // nobody of another test is there
    await addGuests(page, ['Ada', 'Grace', 'Alan'], 'calm');
    await page.getByText('The guests see 3 people in #calm.').waitFor();
    await happened(page, 'The people in #calm see that Alan came.').waitFor();
    const said = await sayings(page);

    await press(page, 'Kill node B');
    await node(page, 'B').getByText('Killed', { exact: true }).waitFor();
    await clients(page, 'B').waitFor({ state: 'detached' });
    await page.getByText('2 of 3 nodes run, 3 clients').waitFor();
    expect(await said()).toEqual(['The guests see 3 people in #calm.']);
    await page.getByRole('button', { name: 'Remove Alan' }).click();
    await happened(page, 'The people in #calm see that Alan left.').waitFor();
    const log = await page
      .getByRole('log')
      .getByText(/^The people in #calm see/)
      .allInnerTexts();
    expect(log).toEqual(
      ['Alan left', 'Alan came', 'Grace came'].map((what) => `The people in #calm see that ${what}.`),
    );
    await press(page, 'Start node B');
    await node(page, 'B').getByText('Running', { exact: true }).waitFor();
  });

  it('costs nobody a message when a node is killed', async () => {
    const page = await open();
    await addGuests(page, ['Ada', 'Grace', 'Alan']);
    const name = (await clients(page, 'B').locator('.client-name').innerText()).trim();
    await press(page, 'Keep counting');
    await page.getByText(/^\d\d numbers said to #general\. Every guest has all of them\.$/).waitFor();

    await press(page, 'Kill node B');
    const back = new RegExp(`^${name} is back in #general and gets what was said meanwhile: \\d+ messages?\\.$`);
    await page.getByRole('log').getByText(back).waitFor();
    await press(page, 'Stop counting');
    await page.getByText(/ numbers said to #general\. Every guest has all of them\.$/).waitFor();
    await press(page, 'Start node B');
    await node(page, 'B').getByText('Running', { exact: true }).waitFor();
  });

  it('stops a node: its guests are told to come back and do, on another one', async () => {
    const page = await open();
    await addGuests(page, ['Ada', 'Grace', 'Alan']);
    const name = (await clients(page, 'A').locator('.client-name').innerText()).trim();

    await press(page, 'Stop node A');
    await happened(page, `${name}’s connection ended with 1012: coming back.`).waitFor();
    await happened(page, 'Node A has ended.').waitFor();
    await page.locator(`.node:not([aria-labelledby="node-A"])`).getByText(name, { exact: true }).waitFor();
    await page.getByText('2 of 3 nodes run, 3 clients').waitFor();
    await press(page, 'Start node A');
    await node(page, 'A').getByText('Running', { exact: true }).waitFor();
  });

  it('says why a guest or a message was refused', async () => {
    const page = await open();
    await page.getByRole('textbox', { name: 'Room' }).first().fill('Upper-Case');
    await press(page, 'Add a guest');
    await page.getByText('A room name has 1 to 32 characters of a–z, 0–9 and -.').waitFor();
    await press(page, 'Send');
    await page.getByText('A message has 1 to 1,000 characters.').waitFor();
  });

  it('calls no node running while it has no connection to its own server, and asks for nothing', async () => {
    const network = await TcpProxy.start(Number(new URL(sample.url).port));
    try {
      const page = await open({}, network.httpUrl);
      await addGuests(page, ['Ada']);
      network.cut();
      for (const name of ['A', 'B', 'C']) await node(page, name).getByText('Not known', { exact: true }).waitFor();
      expect(await page.getByText('Running', { exact: true }).count()).toBe(0);
      expect(await page.getByRole('article').getByRole('button').count()).toBe(0);
      expect(await page.getByRole('button', { name: 'Send' }).isDisabled()).toBe(true);

      network.heal();
      for (const name of ['A', 'B', 'C']) await node(page, name).getByText('Running', { exact: true }).waitFor();
      await page.getByRole('button', { name: 'Remove Ada' }).click();
      await page.getByText('3 of 3 nodes run, 0 clients').waitFor();
    } finally {
      await network.stop();
    }
  });

  it('works on a phone and with the keyboard', async () => {
    const page = await open({ viewport: { width: 360, height: 700 }, colorScheme: 'dark' });
    await page.getByRole('textbox', { name: 'Room' }).first().focus();
    await page.keyboard.press('Enter');
    await someone(page, 'Ada').waitFor();
    await page.getByRole('textbox', { name: 'Message' }).focus();
    await page.keyboard.type('w'.repeat(300));
    await page.keyboard.press('Enter');
    await page.locator('.heard').waitFor();
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);

    await page.getByRole('button', { name: 'Remove Ada' }).focus();
    await page.keyboard.press('Enter');
    await someone(page, 'Ada').waitFor({ state: 'detached' });
  });
});
