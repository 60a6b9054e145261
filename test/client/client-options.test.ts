import { describe, expect, it, jest } from '@jest/globals';
import { WebSocketClient as BrowserClient } from '../../lib/client/browser.js';
import type { WebSocketClientOptions } from '../../lib/client/client-options.js';
import { CLIENT_OPTIONS } from '../../lib/client/client-option-table.js';
import { resolveClientOptions } from '../../lib/client/resolve-client-options.js';
import { toSocketUrl } from '../../lib/client/socket-url.js';
import { NODE_OPTIONS, WebSocketClient } from '../../lib/client/websocket-client.js';
import { InvalidOptionsError } from '../../lib/errors.js';

const url = 'ws://127.0.0.1:3000/ws';
const URL_RULE = /url must be ws:\/\/ or wss:\/\/ without a "#", or in a page a path/;

class Seen extends WebSocketClient {
  get seen(): object {
    return this.options;
  }
}

describe('client options', () => {
  it('have the documented defaults', () => {
    expect(resolveClientOptions({ url })).toEqual({
      url,
      protocols: [],
      connectTimeoutMs: 10_000,
      requestTimeoutMs: 10_000,
      reconnect: { minDelayMs: 500, maxDelayMs: 30_000, maxAttempts: Infinity, initial: false },
      queue: { maxMessages: 100, maxBytes: 262_144, maxAgeMs: 60_000 },
      rejoinRooms: true,
      pingIntervalMs: 25_000,
      pongTimeoutMs: 10_000,
      maxStreamBuffer: 1_024,
      maxHeldBytes: 1_048_576,
      maxUnsentBytes: 4_194_304,
      maxErrorReports: 100,
      events: {},
    });
  });

  const bad: [string, object, RegExp][] = [
    ['no url', { url: undefined }, URL_RULE],
    ['an empty url', { url: '' }, URL_RULE],
    ['a path without a page', { url: '/ws' }, URL_RULE],
    ['a url that is none', { url: 'not a url' }, URL_RULE],
    ['a foreign protocol', { url: 'ftp://127.0.0.1/ws' }, URL_RULE],
    ['a fragment', { url: `${url}#part` }, URL_RULE],
    ['a connect timeout of 0', { connectTimeoutMs: 0 }, /connectTimeoutMs is not a number of milliseconds from 1/],
    ['an endless connect timeout', { connectTimeoutMs: Infinity }, /connectTimeoutMs/],
    ['a timeout no timer can wait', { requestTimeoutMs: 2 ** 31 }, /requestTimeoutMs/],
    ['a text for a number', { requestTimeoutMs: '10' }, /requestTimeoutMs/],
    ['a negative ping interval', { pingIntervalMs: -1 }, /pingIntervalMs is neither false nor a number of millisec/],
    ['an empty text for it', { pingIntervalMs: '' }, /pingIntervalMs is neither false nor/],
    ['no pong timeout', { pongTimeoutMs: NaN }, /pongTimeoutMs/],
    ['exchanged delays', { reconnect: { minDelayMs: 10, maxDelayMs: 5 } }, /Exchange the two/],
    ['no attempts', { reconnect: { maxAttempts: 0 } }, /Write reconnect: false/],
    ['reconnect: true', { reconnect: true }, /reconnect is neither false nor an object/],
    ['a queue for nothing', { queue: { maxMessages: 0 } }, /queue\.maxMessages is not a whole number/],
    ['an endless wait', { queue: { maxAgeMs: Infinity } }, /queue\.maxAgeMs is not a number of milliseconds/],
    ['reconnect: 0', { reconnect: 0 }, /reconnect is neither false nor an object/],
    ['a text for a flag of reconnect', { reconnect: { initial: 'yes' } }, /reconnect\.initial is not true or false/],
    ['a text for a flag', { rejoinRooms: 'no' }, /rejoinRooms is not true or false/],
    [
      'a number among the protocols',
      { protocols: ['a', 5] },
      /protocols is not a string or a function, or a list of strings/,
    ],
    ['a protocol without a name', { protocols: '' }, /protocols is not a string/],
    ['a text for headers', { headers: 'cookie: a=b' }, /headers is not an object of header names and values/],
    ['an agent that is none', { agent: 'proxy' }, /agent is not an http\.Agent/],
    ['callbacks that are none', { events: 'log' }, /events is not an object/],
    ['half a value of buffer', { maxStreamBuffer: 0.5 }, /maxStreamBuffer is not a whole number/],
    ['a callback that is none', { events: { onMessage: 'log' } }, /events\.onMessage is not a function/],
    [
      'a misspelt option',
      { requestTimeoutMS: 5 },
      /requestTimeoutMS is not an option\. Did you mean requestTimeoutMs\?/,
    ],
    ['one without its unit', { pingInterval: 5 }, /pingInterval is not an option\. Did you mean pingIntervalMs\?/],
    [
      'a misspelt one of reconnect',
      { reconnect: { maxDelay: 5 } },
      /reconnect\.maxDelay is .* reconnect\.maxDelayMs\?/,
    ],
    ['a misspelt callback', { events: { onConected: () => 1 } }, /events\.onConected .* events\.onConnected\?/],
    ['what no option is like', { colour: 'red' }, /colour is not an option\. Remove it\./],
    ['a name that every object has', { constructor: 1 }, /constructor is not an option\. Remove it\./],
    ['no bytes', { maxPayload: 0 }, /maxPayload is not a whole number of bytes/],
  ];

  it.each(bad)('refuse %s with the fact and the remedy', (_name, flaw, sentence) => {
    const make = (): WebSocketClient => new WebSocketClient({ url, ...flaw });
    expect(make).toThrow(InvalidOptionsError);
    expect(make).toThrow(sentence);
  });

  it.each(Object.keys({ ...CLIENT_OPTIONS, ...NODE_OPTIONS }))('are checked, every one: %s', (name) => {
    expect(() => new WebSocketClient({ url, [name]: Symbol('nonsense') })).toThrow(
      new RegExp(`${name} (?:is n|must be)`),
    );
  });

  it('take null for not given', () => {
    const nothing = { url, token: null, reconnect: null, events: null, maxPayload: null } as object;
    expect(() => new WebSocketClient(nothing as WebSocketClientOptions)).not.toThrow();
    expect(new Seen(nothing as WebSocketClientOptions).seen).toMatchObject({
      reconnect: { minDelayMs: 500 },
      events: {},
    });
  });

  it('still take pingIntervalMs: 0 for false, and say once that it is deprecated', () => {
    const warn = jest.spyOn(console, 'warn').mockImplementation(() => undefined);
    try {
      const given = { url, pingIntervalMs: 0 };
      for (let count = 0; count < 2; count += 1) expect(new Seen(given).seen).toMatchObject({ pingIntervalMs: false });
      expect(warn.mock.calls).toEqual([[expect.stringContaining('pingIntervalMs: 0 is deprecated')]]);
      expect(resolveClientOptions({ url, pingIntervalMs: false }).pingIntervalMs).toBe(false);
    } finally {
      warn.mockRestore();
    }
  });

  it('refuse headers in a browser, which can not send them', () => {
    expect(() => new BrowserClient({ url, headers: { authorization: 'x' } } as WebSocketClientOptions<never>)).toThrow(
      /headers is not an option\./,
    );
  });

  it.each([
    ['connectTimeoutMs', 0],
    ['requestTimeoutMs', 2 ** 31],
    ['requestTimeoutMs', '10'],
    ['pingIntervalMs', -1],
    ['pongTimeoutMs', NaN],
    ['maxHeldBytes', Symbol('nonsense')],
    ['rejoinRooms', 'no'],
    ['rejoinRooms', 1],
    ['events', 'log'],
    ['reconnect', true],
    ['reconnect', 0],
    ['queue', false],
  ])('in a browser, %s can not be %p', (name, value) => {
    expect(() => new BrowserClient({ url, [name]: value })).toThrow(`${name} can't be ${String(value)}.`);
  });

  it('in a browser, every flaw is named, too', () => {
    const wrong = {
      url: 'ftp://x',
      colour: 1,
      constructor: 1,
      reconnect: { maxDelay: 1, initial: 1 },
      queue: { maxBytes: 0 },
    };
    expect(() => new BrowserClient(wrong as object as WebSocketClientOptions<never>)).toThrow(
      /url must be[^]*colour is not[^]*constructor is not[^]*reconnect\.maxDelay is not[^]*reconnect\.initial can't be 1[^]*queue\.maxBytes can't be 0/,
    );
    const fine = {
      url,
      reconnect: false,
      pingIntervalMs: false,
      events: { onError: () => 1 },
      token: null,
      queue: null,
    };
    expect(() => new BrowserClient(fine as object as WebSocketClientOptions<never>)).not.toThrow();
  });

  it('pass over an unknown name that is undefined', () => {
    expect(() => new WebSocketClient({ url, colour: undefined } as WebSocketClientOptions)).not.toThrow();
  });

  it('name every flaw at once', () => {
    const options = { url: '/ws', connectTimeoutMs: 0, maxStreamBuffer: 0 } satisfies WebSocketClientOptions;
    expect(() => new WebSocketClient(options)).toThrow(/url[^]*connectTimeoutMs[^]*maxStreamBuffer/);
  });

  it('never quote a url, which may hold a token', () => {
    expect(() => new WebSocketClient({ url: 'ftp://host/?token=secret' })).toThrow(/^(?![^]*secret)/);
  });
});

describe('the address of a socket', () => {
  it.each([
    ['/ws', 'https://example.org/chat?room=1#top', 'wss://example.org/ws'],
    ['/ws?token=a', 'http://127.0.0.1:3000/', 'ws://127.0.0.1:3000/ws?token=a'],
    ['ws', 'http://127.0.0.1:3000/app/index.html', 'ws://127.0.0.1:3000/app/ws'],
    ['wss://other.example/ws', 'http://127.0.0.1:3000/', 'wss://other.example/ws'],
    ['https://other.example/ws', undefined, 'wss://other.example/ws'],
  ])('is %s on a page at %s as %s', (given, base, expected) => {
    expect(toSocketUrl(given, base)).toBe(expected);
  });
});
