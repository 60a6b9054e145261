import { describe, expect, it } from '@jest/globals';
import { InvalidOptionsError, type WebSocketOptions } from '../../lib/index.js';
import { resolveOptions } from '../../lib/options/resolve-options.js';
import { OPTION_NAMES } from '../../lib/options/options.js';

/** `{ a: { b: value } }` for `a.b`. */
const optionsOf = (name: string, value: unknown): WebSocketOptions =>
  name.split('.').reduceRight<unknown>((inner, field) => ({ [field]: inner }), value) as WebSocketOptions;

const isDuration = (name: string): boolean => /(Ms|Time)$/.test(name);

const jwt = (more: object): WebSocketOptions => ({ auth: { jwt: { secret: 'x'.repeat(32), ...more } } });
const client = (more: object): WebSocketOptions => ({ type: 'client', url: 'ws://127.0.0.1/ws', client: more });

describe('options', () => {
  it.each(OPTION_NAMES.filter((name) => isDuration(name) && name !== 'delivery.flushGapMs'))(
    'of time are no longer than a timer can run, past which it fires at once: %s',
    (name) => {
      const flaws = (value: unknown): string =>
        flawsOf({ auth: { authenticate: () => null }, ...optionsOf(name, value) });
      expect(flaws(2 ** 31)).toContain(`"${name}" must be`);
      expect(flaws(2 ** 31)).toContain('2147483647');
      expect(flaws(2 ** 31 - 1)).not.toContain(`"${name}" must be`);
      for (const value of [-1, 0.5, Infinity, Number.NaN, '5']) expect(flaws(value)).toContain(`"${name}" must be`);
    },
  );

  it.each<[string, WebSocketOptions, string]>([
    [
      'closes that are spread beyond the end',
      { drain: { spreadMs: 3_000, terminateAfterMs: 500 } },
      '"drain.spreadMs" (3000) is longer than "drain.terminateAfterMs" (500)',
    ],
    [
      'closes that are spread beyond the usual end',
      { drain: { spreadMs: 10_001 } },
      '"drain.terminateAfterMs" (10000)',
    ],
    [
      'volatile messages that are dropped when their client is closed',
      { backpressure: { volatileBytes: 2_000, maxBufferedBytes: 1_999 } },
      '"backpressure.volatileBytes" (2000) is above "backpressure.maxBufferedBytes" (1999)',
    ],
    [
      'a gap between writes by its old name and by its new one',
      { delivery: { flushGapMs: 5, flush: 'auto' } },
      '"delivery.flushGapMs" is the old way to write "delivery.flush: { gapMs }"',
    ],
    [
      'writes too far apart',
      { delivery: { flush: { gapMs: 1_001 } } },
      `"delivery.flush" must be 'turn', 'auto' or { gapMs }`,
    ],
    ['a misspelt way to write', { delivery: { flush: 'automatic' as 'auto' } }, '"delivery.flush" must be'],
    [
      'a time by its old name and by its new one',
      { disconnectInactiveClients: { inactiveTime: 5_000, inactiveTimeMs: 6_000 } },
      '"disconnectInactiveClients.inactiveTime" is the old name of "disconnectInactiveClients.inactiveTimeMs"',
    ],
    ['the same with the usual budget', { backpressure: { volatileBytes: 1_048_577 } }, '(1048576)'],
    ['a name that every object has', { constructor: 1 } as never, '"constructor" is not an option'],
    ['one within a section', { drain: { toString: 1 } as never }, '"drain.toString" is not an option'],
    [
      'the name of the prototype',
      JSON.parse('{"__proto__":{"x":1},"auth":{"__proto__":1}}') as never,
      '"__proto__" is not an option',
    ],
    [
      'a misspelt name',
      { maxConections: 5 } as never,
      '"maxConections" is not an option: did you mean "maxConnections"?',
    ],
    [
      'a misspelt name within a section',
      { messages: { maxPayLoad: 5 } } as never,
      '"messages.maxPayLoad" is not an option: did you mean "messages.maxPayload"?',
    ],
    [
      'a misspelt name three levels down',
      { limits: { messages: { perSeconds: 5 } } } as never,
      'did you mean "limits.messages.perSecond"?',
    ],
    [
      'an option of a section, outside of it',
      { maxPayload: 5 } as never,
      '"maxPayload" is not an option: did you mean "messages.maxPayload"?',
    ],
    ['a misspelt option of tokens', jwt({ issuers: 'x' }), 'did you mean "auth.jwt.issuer"?'],
    ['a misspelt option of the client', client({ token: 'x', header: {} }), 'did you mean "client.headers"?'],
    ['one of its reconnecting', client({ reconnect: { maxDelay: 5 } }), 'did you mean "client.reconnect.maxDelayMs"?'],
    [
      'a time without its unit',
      { rooms: { history: [{ match: 'chat:*', ttl: 5 }] } } as never,
      'did you mean "rooms.history[0].ttlMs"?',
    ],
    ['a misspelt option of compression', { messages: { perMessageDeflate: { treshold: 1 } } } as never, 'threshold'],
    ['a misspelt callback', { events: { onConect: () => 1 } } as never, 'did you mean "events.onConnected"?'],
    ['what no option is like', { colour: 'red' } as never, '"colour" is not an option: remove it'],
    ['the address to listen on', { host: '0.0.0.0' }, '"host" must be the public host'],
    ['that of IPv6', { host: '::' }, `app.listen(3000, '0.0.0.0')`],
    ['that with a port', { host: '[::]:3000' }, '"host" must be the public host'],
    ['a pattern for a host', { host: '*.example.com' }, '"host" must be the public host'],
    ['a Redis that is none', { redis: 'nonsense' }, `"redis" must be a redis:// or rediss:// URL`],
    ['another protocol for Redis', { redis: 'http://127.0.0.1:6379' }, '"redis" must be'],
    ['a URL among the options of ioredis', { redis: { url: 'redis://127.0.0.1' } }, '"redis" must be'],
    ['a list for Redis', { redis: ['redis://127.0.0.1'] as never }, '"redis" must be'],
    ['rooms.enabled', { rooms: { enabled: false } } as never, '"rooms.enabled" is gone: rooms are always there'],
    ['subscriberHandlers', { subscriberHandlers: {} } as never, '"subscriberHandlers" is gone: put @WsSubscribe('],
    [
      'debug.printConnectedClients',
      { debug: { printConnectedClients: true } } as never,
      '"debug.printConnectedClients" is gone: remove it, and print clientManager.getClients()',
    ],
    ['a port', { port: 3001 } as never, 'app.listen(port)'],
  ])('that cannot work are refused with what to write: %s', (_, options, flaw) => {
    expect(flawsOf(options)).toContain(flaw);
  });

  it.each([
    { host: 'chat.example.com' },
    { host: 'chat.example.com:8443' },
    { host: '[::1]:3000' },
    { host: 'localhost:3000' },
    { redis: 'redis://127.0.0.1:6379/1' },
    { redis: 'rediss://user:secret@redis.example:6380' },
    { redis: '/run/redis/redis.sock' },
    { redis: {} },
    { messages: { perMessageDeflate: { threshold: 1_024 } } },
  ] as WebSocketOptions[])('that can work are taken: %j', (options) => {
    expect(flawsOf(options)).toBe('');
  });

  it('fit each other where only one of two is given', () => {
    expect(resolveOptions({ drain: { terminateAfterMs: 2_000 } }).drain.spreadMs).toBe(1_000);
    expect(resolveOptions({ drain: { terminateAfterMs: 60_000 } }).drain.spreadMs).toBe(5_000);
    expect(resolveOptions({ drain: { spreadMs: undefined, terminateAfterMs: 0 } }).drain.spreadMs).toBe(0);
    expect(resolveOptions({ backpressure: { maxBufferedBytes: 1_000 } }).backpressure.volatileBytes).toBe(250);
    expect(resolveOptions({ backpressure: { maxBufferedBytes: 1e9 } }).backpressure.volatileBytes).toBe(262_144);
    expect(resolveOptions({ drain: { spreadMs: 500, terminateAfterMs: 500 } }).drain.spreadMs).toBe(500);
  });

  it('of fragments and pieces follow maxPayload where they are not given', () => {
    const limitsOf = (messages: object): unknown[] => {
      const { maxFragments, maxBufferedChunks } = resolveOptions({ messages }).messages;
      return [maxFragments, maxBufferedChunks];
    };
    expect(limitsOf({ maxPayload: 2 ** 24 })).toEqual([32_768, 65_536]);
    expect(limitsOf({ maxPayload: 1_000 })).toEqual([128, 4_096]);
    expect(limitsOf({ maxPayload: 2 ** 24, maxFragments: 9, maxBufferedChunks: 8 })).toEqual([9, 8]);
  });
});

function flawsOf(options: WebSocketOptions): string {
  try {
    resolveOptions(options);
    return '';
  } catch (error) {
    if (error instanceof InvalidOptionsError) return error.message;
    throw error;
  }
}
