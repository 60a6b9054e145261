import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { adviceOf, CloseCode, fitReason, isSendableCloseCode, utf8Length } from '../../lib/protocol/close-codes.js';
import { decodeFrame, encodeReply, encodeStreamEnd } from '../../lib/protocol/codec.js';
import { writeJson } from '../../lib/protocol/json-form.js';
import { isRequestId, isRoomName, isRouteName } from '../../lib/protocol/names.js';

const name = fc.stringMatching(/^[A-Za-z0-9_.-]{1,64}$/);
const id = fc.option(fc.oneof(fc.string({ minLength: 1, maxLength: 64 }), fc.maxSafeInteger()), { nil: undefined });
const data = fc.jsonValue({ maxDepth: 5 }).filter((value) => !JSON.stringify(value).includes('__proto__'));

describe('frames', () => {
  it('are decoded to what was encoded', () => {
    fc.assert(
      fc.property(name, name, data, id, (type, action, value, requestId) => {
        fc.pre(type !== 'error' || action !== 'message');
        const copy: unknown = JSON.parse(JSON.stringify(value));
        expect(decodeFrame(writeJson({ type, action, data: value, id: requestId }))).toEqual({
          kind: 'message',
          type,
          action,
          data: copy,
          id: requestId,
        });
        expect(decodeFrame(encodeReply({ type, action, id: requestId }, value))).toEqual({
          kind: 'reply',
          type,
          action,
          id: requestId,
          response: copy,
          more: false,
          done: false,
        });
      }),
    );
  });

  it('of a stream say more, then done', () => {
    const to = { type: 'a', action: 'b', id: 'x"y' };
    expect(JSON.parse(encodeReply(to, 1, true))).toEqual({ ...to, response: 1, more: true });
    expect(JSON.parse(encodeStreamEnd(to))).toEqual({ ...to, done: true });
    expect(JSON.parse(encodeReply({ type: 'a', action: 'b' }, undefined))).toEqual({
      type: 'a',
      action: 'b',
      response: null,
    });
  });

  it('are never decoded by throwing, whatever the text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) =>
        expect(decodeFrame(text).kind).toEqual(expect.any(String)),
      ),
    );
  });

  it.each([
    ['', 'not a JSON object'],
    ['[]', 'not a JSON object'],
    ['null', 'not a JSON object'],
    ['{"type":["a"],"action":"b"}', '"type" must be'],
    ['{"type":"a","action":"b c"}', '"action" must be'],
    ['{"type":"a","action":"b","id":""}', '"id" must be'],
    ['{"type":"a","action":"b","id":1.5}', '"id" must be'],
    ['{"type":"a","action":"b","data":{"x":[{"\\u005f_proto__":1}]}}', 'forbidden key'],
    [`{"type":"a","action":"b","data":${'['.repeat(40)}${']'.repeat(40)}}`, 'nested too deeply'],
  ])('refuse %s', (text, reason) => {
    const frame = decodeFrame(text);
    expect(frame.kind === 'bad' && frame.reason).toContain(reason);
  });

  it('never end the process, however deep they are and however much maxDepth allows', () => {
    const nested = (open: string, close: string): string =>
      `{"type":"a","action":"b","data":${open.repeat(100_000)}1${close.repeat(100_000)}}`;
    for (const text of [nested('[', ']'), nested('{"a":', '}')])
      expect(decodeFrame(text, Infinity)).toMatchObject({ kind: 'bad', reason: 'The frame is nested too deeply.' });
  });

  it('keep the id of a bad frame that has a good one', () => {
    expect(decodeFrame('{"type":"","action":"b","id":7}')).toMatchObject({ kind: 'bad', id: 7, isAnswer: false });
    for (const frame of [
      '{"type":"","action":"b","id":7,"response":1}',
      '{"type":"a","action":"b","id":7,"done":true,"x":{"__proto__":1}}',
      '{"type":"error","action":"message","id":7,"data":{"__proto__":1}}',
    ]) {
      expect(decodeFrame(frame)).toMatchObject({ kind: 'bad', id: 7, isAnswer: true });
    }
  });

  it('read an error frame of any shape', () => {
    expect(decodeFrame('{"type":"error","action":"message","id":1,"data":5}')).toEqual({
      kind: 'error',
      id: 1,
      data: { error: 'The peer reported an error.', code: 'INTERNAL' },
    });
  });

  it('are refused for values without a JSON form', () => {
    expect(() => writeJson(undefined)).toThrow(TypeError);
    expect(() => encodeReply({ type: 'a', action: 'b' }, () => 1)).toThrow(TypeError);
    expect(() => encodeReply({ type: 'a', action: 'b' }, 1n)).toThrow(TypeError);
  });
});

describe('names', () => {
  it('are strings of the allowed characters', () => {
    expect(['a', 'A-z_0.9', 'x'.repeat(64)].every(isRouteName)).toBe(true);
    expect(['', 'a:b', 'ä', 'x'.repeat(65), ['a'], 1, null].some(isRouteName)).toBe(false);
    const rooms = [
      'a',
      'user:1',
      'a/b@c.d',
      'alice+work@example.org',
      'Café',
      'Cafe\u0301',
      'a b',
      '部屋',
      'می\u200Cخواهم',
    ];
    const odd = ['👩\u200D💻', '*?[a-z]\\', '"', '__proto__', 'x'.repeat(128), '💻'.repeat(128)];
    expect([...rooms, ...odd].filter((name) => !isRoomName(name))).toEqual([]);
    const ends = [' a', 'a ', '\u00A0a', 'a\u3000', ' '];
    const invisible = [
      'a\n',
      'a\tb',
      '\0',
      'a\u007F',
      'a\u0085',
      'a\u200Bb',
      '\u202Ea',
      '\uFEFFa',
      'a\u2028b',
      'a\u00AD',
    ];
    const broken = ['\uD800', 'a\uDC00b', '\uFFFF', '\u{1FFFE}'];
    const others = ['', '{a}', 'a}', 'x'.repeat(129), '💻'.repeat(129), 'x'.repeat(1_000_000), {}, null, ['a'], 1];
    expect([...ends, ...invisible, ...broken, ...others].filter(isRoomName)).toEqual([]);
    expect([0, -5, 'a', 'x'.repeat(64)].every(isRequestId)).toBe(true);
    expect(['', 1.5, 2 ** 53, NaN, 'x'.repeat(65), null, {}].some(isRequestId)).toBe(false);
  });
});

describe('close codes', () => {
  it('tell a client whether to reconnect', () => {
    const codes = [CloseCode.Kicked, CloseCode.SlowConsumer, CloseCode.TokenExpired, CloseCode.Restarting, 1006, 1013];
    const advice = ['stop', 'back-off', 'reconnect-now', 'reconnect-now', 'reconnect', 'back-off', 'reconnect'];
    expect([...codes, CloseCode.TooBig].map(adviceOf)).toEqual(advice);
  });

  it('can be sent unless the RFC keeps them', () => {
    expect([1000, 1001, 1012, 1014, 3000, 4999].every(isSendableCloseCode)).toBe(true);
    expect([0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 1.5, NaN].some(isSendableCloseCode)).toBe(false);
  });

  it('have reasons whose bytes are counted as UTF-8 counts them', () => {
    const texts = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.string({ unit: 'binary' }),
      fc.string({ unit: 'binary-ascii' }),
    );
    const halves = fc.array(fc.integer({ min: 0xd7f0, max: 0xe010 })).map((units) => String.fromCharCode(...units));
    fc.assert(fc.property(fc.oneof(texts, halves), (text) => expect(utf8Length(text)).toBe(Buffer.byteLength(text))));
  });

  it('have a reason of at most 123 bytes, cut between characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (reason) => {
        const fitted = fitReason(reason);
        expect(Buffer.byteLength(fitted)).toBeLessThanOrEqual(123);
        expect(reason.startsWith(fitted)).toBe(true);
        expect(Buffer.from(fitted).toString()).toBe(fitted);
      }),
    );
  });
});
