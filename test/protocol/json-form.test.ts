import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { jsonForm, NoJsonFormError, writeJson } from '../../lib/protocol/json-form.js';

const circular: Record<string, unknown> = { name: 'x' };
circular['self'] = [circular];
class Row {
  readonly id = 1;
  readonly gone = undefined;
  method(): number {
    return this.id;
  }
}

describe('the JSON form of a value', () => {
  it('is what JSON makes of it, for anything that JSON has but a key __proto__', () => {
    const values = fc.jsonValue().filter((value) => !JSON.stringify(value).includes('"__proto__":'));
    fc.assert(fc.property(values, (value) => expect(jsonForm(value, 'v')).toEqual(JSON.parse(JSON.stringify(value)))));
  });

  it('is the value itself where that is its own JSON form', () => {
    const value = { list: [1, { deep: null }], text: 'x' };
    expect(jsonForm(value, 'v')).toBe(value);
  });

  it.each<[string, unknown, unknown]>([
    ['a Date', { at: new Date(0) }, { at: '1970-01-01T00:00:00.000Z' }],
    ['an invalid Date', [new Date(Number.NaN)], [null]],
    ['an instance', new Row(), { id: 1 }],
    ['an object with toJSON()', { toJSON: () => ({ shown: true }) }, { shown: true }],
    ['numbers that JSON lacks', [Number.NaN, Infinity], [null, null]],
    ['minus zero', { a: -0, b: [-0] }, { a: 0, b: [0] }],
    ['undefined', { a: undefined, b: [undefined] }, { b: [null] }],
    ['an empty place', [, 1], [null, 1]], // oxlint-disable-line no-sparse-arrays
    ['a boxed text', { a: Object('x') as unknown }, { a: 'x' }],
  ])('of %s is what other nodes get', (_, value, form) => {
    expect(jsonForm(value, 'v')).toEqual(form);
    expect(Object.keys(Object(jsonForm(value, 'v')) as object)).toEqual(Object.keys(form as object));
  });

  it.each<[string, unknown, string]>([
    ['a BigInt', { a: [1n] }, 'v.a[0] is a bigint'],
    ['a function', { a: () => 1 }, 'v.a is a function'],
    ['a symbol', Symbol('x'), 'v is a symbol'],
    ['a cycle', circular, 'v.self[0] contains itself'],
    ['a Map', { m: new Map([[1, 2]]) }, 'v.m is a Map'],
    ['a Set', [new Set([1])], 'v[0] is a Set'],
    ['a Uint8Array', { picture: new Uint8Array(3) }, 'v.picture holds bytes'],
    ['a Buffer', Buffer.from('x'), 'v holds bytes'],
    ['a Promise', { later: Promise.resolve(1) }, 'v.later is a Promise'],
    ['a key __proto__', JSON.parse('{"a":{"__proto__":1}}'), 'v.a has a key'],
    ['101 levels', JSON.parse('['.repeat(101) + ']'.repeat(101)), 'nested in more than 100'],
  ])('is refused for %s, naming the place', (_, value, text) => {
    expect(() => jsonForm(value, 'v')).toThrow(NoJsonFormError);
    expect(() => jsonForm(value, 'v')).toThrow(text);
  });
});

describe('writing JSON', () => {
  it('writes what JSON.stringify writes', () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => expect(writeJson(value)).toBe(JSON.stringify(value))));
    expect(writeJson({ data: {}, a: { 0: 'x' }, b: { type: 'Buffer' } })).toBe(
      '{"data":{},"a":{"0":"x"},"b":{"type":"Buffer"}}',
    );
  });

  it.each<[string, unknown, string]>([
    ['a Map', { data: { deep: [{ m: new Map() }] } }, 'data.deep[0].m is a Map'],
    ['a Set', { data: new Set([1]) }, 'data is a Set'],
    ['a Uint8Array', { data: { picture: new Uint8Array(3) } }, 'data.picture holds bytes'],
    ['an empty Uint8Array', { data: new Uint8Array(0) }, 'data holds bytes'],
    ['a Buffer', { data: [Buffer.from('x')] }, 'data[0] holds bytes'],
    ['an ArrayBuffer', { data: new ArrayBuffer(3) }, 'data is an ArrayBuffer'],
    ['an Error', { data: { error: new Error('no') } }, 'data.error is an Error'],
    ['a BigInt', { data: { rows: [{ id: 1n }] } }, 'data.rows[0].id is a bigint'],
    ['a cycle', { data: circular }, 'data.self[0] contains itself'],
    ['nothing', undefined, 'The message has no JSON form'],
  ])('refuses %s, naming the place', (_, value, text) => {
    expect(() => writeJson(value)).toThrow(NoJsonFormError);
    expect(() => writeJson(value)).toThrow(text);
  });
});
