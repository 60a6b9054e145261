import { afterEach, describe, expect, it } from '@jest/globals';
import type { WebSocketOptions } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { RawPeer } from '../support/raw-peer.js';

describe('R9: origins', () => {
  let running: RunningApp;
  const peers: RawPeer[] = [];
  afterEach(async () => {
    for (const peer of peers.splice(0)) peer.reset();
    await running.close();
  });

  const start = async (options: WebSocketOptions): Promise<void> => {
    running = await startApp({ options });
  };
  const statusFor = async (Origin: string | undefined, headers: Record<string, string> = {}): Promise<unknown> => {
    const peer = await RawPeer.handshake(running.port, { headers: { Origin, ...headers } });
    peers.push(peer);
    return peer.answer?.status;
  };

  it('may be given by a pattern, which the whole origin must match', async () => {
    await start({
      origins: [
        'https://app.example.com',
        /^https:\/\/[a-z]+\.example\.org$/,
        /^https:\/\/(one|two(?:|x|[|)]|\|\)))\.example$/g,
      ],
    });
    for (const origin of [
      'https://app.example.com',
      'https://x.example.org',
      'https://two.example',
      'https://two.example',
      'https://one.example',
      'https://twox.example',
    ]) {
      expect([origin, await statusFor(origin)]).toEqual([origin, 101]);
    }
    const foreign = [
      'https://x.example.org.evil.example',
      'http://x.example.org',
      'https://evil.example/https://x.example.org',
      'https://x.y.example.org',
      'https://X.example.org',
      'https://one.example.evil.example',
      'evil https://two.example',
      `http://127.0.0.2:${running.port}`,
    ];
    for (const origin of foreign) expect([origin, await statusFor(origin)]).toEqual([origin, 403]);
    expect(await statusFor(`http://127.0.0.1:${running.port}`)).toBe(101);
    expect(await statusFor(undefined)).toBe(101);
  });

  it('of the own host are accepted from pages, not from files, extensions or downloads', async () => {
    await start({});
    const own = `127.0.0.1:${running.port}`;
    for (const scheme of ['http', 'https', 'HTTPS']) expect(await statusFor(`${scheme}://${own}`)).toBe(101);
    // Clients that are no browsers name the address they connect to.
    for (const scheme of ['ws', 'wss']) expect(await statusFor(`${scheme}://${own}`)).toBe(101);
    expect(await statusFor('ws://elsewhere.example')).toBe(403);
    for (const scheme of ['ftp', 'chrome-extension', 'file', 'blob:http'])
      expect([scheme, await statusFor(`${scheme}://${own}`)]).toEqual([scheme, 403]);
  });

  it('of the option host are accepted, and of no other host, whatever the Host header says', async () => {
    await start({ host: 'chat.example.com' });
    expect(await statusFor('https://chat.example.com')).toBe(101);
    expect(await statusFor('https://chat.example.com', { Host: 'inner.example' })).toBe(101);
    expect(await statusFor('http://rebound.example', { Host: 'rebound.example' })).toBe(403);
    expect(await statusFor(`http://127.0.0.1:${running.port}`)).toBe(403);
    expect(await statusFor(undefined)).toBe(101);
  });

  it('may be "*" where no cookie authenticates', async () => {
    await start({ origins: ['*'] });
    for (const origin of ['https://anywhere.example', 'null']) expect(await statusFor(origin)).toBe(101);
  });

  it('must be listed where an authenticator uses cookies', async () => {
    await start({ auth: { usesCookies: true, authenticate: () => ({ userId: 'ada', payload: {} }) } });
    const cookie = { Cookie: 'sid=1' };
    expect(await statusFor(undefined, cookie)).toBe(403);
    expect(await statusFor('https://evil.example', cookie)).toBe(403);
    expect(await statusFor(`http://127.0.0.1:${running.port}`, cookie)).toBe(101);
    expect(await statusFor(undefined)).toBe(101);
  });
});
