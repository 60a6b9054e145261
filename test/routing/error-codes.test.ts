import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { WebSocket } from 'ws';
import { WsGateway, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';

/** Names that a key made by joining type and action would confuse. */
const PAIRS: [type: string, action: string][] = [
  ['a.b', 'c'],
  ['a', 'b.c'],
  ['a-b', 'c'],
  ['a', 'b-c'],
  ['a_b', 'c'],
  ['a', 'b_c'],
  ['a', 'c'],
  ['A', 'c'],
  ['constructor', 'name'],
  ['__proto__', 'toString'],
];

@WsGateway()
class PairsGateway {}
for (const [type, action] of PAIRS) {
  const name = `${type}|${action}`;
  const descriptor = { value: () => name, writable: true, configurable: true };
  WsRoute(type, action)(PairsGateway.prototype, name, descriptor);
  Object.defineProperty(PairsGateway.prototype, name, descriptor);
}

@WsGateway('fail')
class FailGateway {
  @WsRoute('sql')
  sql(_ws: WebSocket, _clientId: string, data: { name: string }) {
    throw Object.assign(new Error(`SECRET select * from users where name = '${data.name}'`), {
      code: 'ER_PARSE_ERROR',
      details: 'SECRET',
      status: 400,
    });
  }

  @WsRoute('type')
  type(_ws: WebSocket, _clientId: string, data: { name: { first: string } }) {
    return data.name.first;
  }
}

describe('routes and codes', () => {
  let running: RunningApp;
  let peer: Peer;
  beforeAll(async () => {
    running = await startApp({ providers: [PairsGateway, FailGateway] });
    peer = await running.connect();
  });
  afterAll(() => running.close());

  it.each(PAIRS)('R10: %s and %s lead to their own handler alone', async (type, action) => {
    expect(await peer.request(type, action)).toMatchObject({ type, action, response: `${type}|${action}` });
  });

  it('R10: only the exact pair of type and action leads to a route', async () => {
    const strangers = [
      ['a.b.c', 'c'],
      ['c', 'a'],
      ['a', 'C'],
      ['a.', 'c'],
      ['b', 'c'],
      ['__proto__', '__proto__'],
      ['a', '__proto__'],
    ];
    for (const [type, action] of strangers as [string, string][]) {
      expect((await peer.request(type, action)).data).toMatchObject({ code: 'UNKNOWN_ROUTE', type, action });
    }
  });

  it.each([
    '{"type":["a"],"action":"c","id":"x"}',
    '{"type":{"0":"a"},"action":"c","id":"x"}',
    '{"type":"a","action":["c"],"id":"x"}',
    '{"type":"a:b","action":"c","id":"x"}',
    '{"type":"a b","action":"c","id":"x"}',
    '{"type":"a/c","action":"","id":"x"}',
    '{"type":"a","action":"c\\n","id":"x"}',
    '{"type":"а","action":"c","id":"x"}',
  ])('R10: only texts by the rules match: %s', async (frame) => {
    peer.sendRaw(frame);
    expect(await peer.take(({ id }) => id === 'x')).toMatchObject({ type: 'error', data: { code: 'BAD_FRAME' } });
  });

  it.each([
    ['fail', 'sql', { name: 'SECRET' }],
    ['fail', 'type', { name: null }],
    ['fail', 'type', undefined],
  ])('R11: a failure tells a stable code and no text of its own: %s/%s', async (type, action, data) => {
    const answer = await peer.request(type, action, data);
    expect(answer.data).toEqual({ code: 'INTERNAL', error: 'Something went wrong on the server.', type, action });
  });

  it('R11: a bad message comes back without a word of what it said', async () => {
    for (const frame of [
      'SECRET',
      '{"SECRET":1}',
      '{"type":"SECRET SECRET","action":"c"}',
      '{"type":"a","action":"c","__proto__":"SECRET"}',
    ]) {
      peer.sendRaw(frame);
      expect(JSON.stringify(await peer.error())).not.toContain('SECRET');
    }
    for (const roomName of ['SECRET{}', 'private:SECRET']) {
      expect(JSON.stringify((await peer.request('system', 'joinRoom', { roomName })).data)).not.toContain('SECRET');
    }
  });

  it('R11: bad messages raise no event and reach no subscriber', async () => {
    const events: string[] = [];
    const listening = await startApp({
      options: { subscriberEventHandler: ({ channel }) => void events.push(channel) },
    });
    try {
      const other = await listening.connect();
      await other.settle();
      events.length = 0;
      for (const frame of [
        '{',
        '[]',
        '{"type":"no","action":"where"}',
        '{"type":"system","action":"joinRoom","data":{"roomName":" "}}',
      ]) {
        other.sendRaw(frame);
        await other.error();
      }
      await other.settle();
      expect(events).toEqual([]);
    } finally {
      await listening.close();
    }
  });
});
