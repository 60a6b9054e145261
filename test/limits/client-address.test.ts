import { afterEach, describe, expect, it } from '@jest/globals';
import { InvalidOptionsError, type WebSocketOptions, WebSocketServer } from '../../lib/index.js';
import { addressGroup } from '../../lib/limits/client-address.js';
import { type RunningApp, startApp } from '../support/app.js';

let running: RunningApp | undefined;
afterEach(async () => {
  await running?.close();
  running = undefined;
});

async function ipOf(trustProxy: WebSocketOptions['trustProxy'], forwarded?: string): Promise<string | undefined> {
  running = await startApp({ options: { trustProxy } });
  const peer = await running.connect(forwarded === undefined ? {} : { headers: { 'x-forwarded-for': forwarded } });
  const ip = running.clients.getClient(peer)?.ip;
  await running.close();
  return ip;
}

describe('client.ip', () => {
  it.each<[trust: WebSocketOptions['trustProxy'], forwarded: string | undefined, ip: string]>([
    [false, '192.0.2.1', '127.0.0.1'],
    [0, '192.0.2.1', '127.0.0.1'],
    [undefined, '192.0.2.1', '127.0.0.1'],
    [true, undefined, '127.0.0.1'],
    [true, '192.0.2.1, 198.51.100.7', '192.0.2.1'],
    [1, '192.0.2.1, 198.51.100.7', '198.51.100.7'],
    [2, '203.0.113.9, 192.0.2.1, 198.51.100.7', '192.0.2.1'],
    ['loopback', '192.0.2.1, 198.51.100.7', '198.51.100.7'],
    ['loopback, 198.51.100.0/24', '192.0.2.1, 198.51.100.7', '192.0.2.1'],
    [['127.0.0.1', '198.51.100.0/24'], '203.0.113.9, 192.0.2.1, 198.51.100.7', '192.0.2.1'],
    ['10.0.0.0/8', '192.0.2.1', '127.0.0.1'],
    [true, '2001:db8::1', '2001:db8::1'],
    [true, '::ffff:192.0.2.1', '192.0.2.1'],
    [true, '::ffff:c000:201', '192.0.2.1'],
    [true, '::FFFF:C000:0201', '192.0.2.1'],
    [true, '0:0:0:0:0:ffff:c000:201', '192.0.2.1'],
    [true, '0000:0000:0000:0000:0000:FFFF:192.0.2.1', '192.0.2.1'],
    [true, '[::ffff:c000:201]:4711', '192.0.2.1'],
    [true, '::ffff:0:1', '0.0.0.1'],
    [true, '::ffff:c000:201:1', '::ffff:c000:201:1'],
    [true, '64:ff9b::192.0.2.1', '64:ff9b::192.0.2.1'],
    [true, 'fe80::1%eth0', 'fe80::1%eth0'],
    [true, '192.0.2.1:4711', '192.0.2.1'],
    [true, '[2001:db8::1]:4711', '2001:db8::1'],
    [true, 'unknown', '127.0.0.1'],
    [true, '<script>', '127.0.0.1'],
  ])('with trustProxy %j and X-Forwarded-For %j is %s', async (trust, forwarded, ip) => {
    expect(await ipOf(trust, forwarded)).toBe(ip);
  });

  it('is not shown to other clients', async () => {
    running = await startApp({ options: { clientList: { enabled: true, minIntervalMs: 0 } } });
    const peer = await running.connect();
    const client = running.clients.getClient(peer);
    expect(client?.ip).toBe('127.0.0.1');
    expect(JSON.stringify([client, await peer.next('system', 'clientList')])).not.toContain('127.0.0.1');
    for (const key of ['ip', 'roundTripMs'])
      expect(() => running?.clients.updateClient({ ...peer, clientId: peer.clientId, key, data: 1 })).toThrow(key);
    expect(client?.ip).toBe('127.0.0.1');
    expect(() => new WebSocketServer({ clientList: { publicFields: ['ip'] } })).toThrow(InvalidOptionsError);
    expect(() => new WebSocketServer({ clientList: { publicFields: ['roundTripMs'] } })).toThrow(InvalidOptionsError);
  });
});

describe('addresses that count as one', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:DB8:1:2::', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:db8:1::2:3', '2001:db8:1:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['', ''],
  ])('%s is of %s', (address, group) => {
    expect(addressGroup(address)).toBe(group);
  });
});

describe("limits that can't work", () => {
  it.each<[WebSocketOptions, string]>([
    [{ trustProxy: 'no address' }, '"trustProxy" must be true, false, a number of proxies, or addresses and ranges'],
    [{ trustProxy: -1 }, '"trustProxy" must be'],
    [{ trustProxy: ['10.0.0.0/99'] }, '"trustProxy" must be'],
    [{ limits: { messages: { perSecond: 0 } } }, '"limits.messages.perSecond" must be a number above 0'],
    [{ limits: { messages: { burst: 1.5 } } }, '"limits.messages.burst" must be a whole number above 0'],
    [{ limits: { messages: { perMinute: 1 } as object } }, '"limits.messages.perMinute" is not an option'],
    [{ limits: { perUser: { perSecond: -1 } } }, '"limits.perUser" must be false or { perSecond, burst? }'],
    [{ limits: { perIp: { perSecond: 1, per: 1 } as never } }, '"limits.perIp" must be false or { perSecond, burst? }'],
    [{ limits: { handshakesPerIp: {} as never } }, '"limits.handshakesPerIp" must be'],
    [{ limits: { connectionsPerUser: 0 } }, '"limits.connectionsPerUser" must be false or a whole number above 0'],
    [{ limits: { connectionsPerIp: '3' as never } }, '"limits.connectionsPerIp" must be'],
    [{ limits: { firstMessageTimeoutMs: -1 } }, '"limits.firstMessageTimeoutMs" must be'],
    [{ messages: { maxFragments: 0 } }, '"messages.maxFragments" must be a whole number above 0'],
    [{ messages: { perMessageDeflate: 1 as never } }, '"messages.perMessageDeflate" must be true, false or'],
  ])('%j fails at start', (options, flaw) => {
    expect(() => new WebSocketServer(options)).toThrow(flaw);
  });
});
