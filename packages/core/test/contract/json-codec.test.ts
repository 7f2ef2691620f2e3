import { describe, expect, it } from 'vitest';
import { jsonCodec } from '../../src/contract/json-codec.ts';

const encode = (value: unknown): string => Buffer.from(jsonCodec.encode(value)).toString('utf8');
const cyclic = (): unknown => {
  const node: Record<string, unknown> = { name: 'a' };
  node['child'] = { items: [1, node] };
  return node;
};
let deep: unknown = 1;
for (let level = 0; level < 300; level++) deep = { next: deep };

describe('jsonCodec', () => {
  it.each([null, true, '', 'Ünïcödé 🎉 漢字', 0, -1.5, [], {}, { a: [{ b: null }] }, Number.MAX_SAFE_INTEGER, deep])(
    'gives back what went in: %#',
    (value) => {
      expect(jsonCodec.decode(jsonCodec.encode(value))).toEqual(value);
    },
  );

  it.each([
    [{ order: { total: 1n } }, '$.order.total is a bigint'],
    [{ list: [0, Number.NaN] }, '$.list[1] is NaN'],
    [{ 'odd key': Number.POSITIVE_INFINITY }, '$["odd key"] is Infinity'],
    [[2 ** 53], '$[0] is 9007199254740992, an integer beyond'],
    [-(2 ** 60), '$ is -115292150460684'],
    [1e300, '$ is 1e+300'],
    [{ at: new Date(Number.NaN) }, '$.at is an invalid Date'],
    [{ boxed: Object(5n) }, '$.boxed is a bigint'],
    [{ boxed: new Number(Number.NaN) }, '$.boxed is NaN'],
    [{ inner: { toJSON: () => ({ n: Number.NaN }) } }, '$.inner.n is NaN'],
    [cyclic(), '$.child.items[1] is cyclic'],
    [undefined, '$ is undefined'],
    [() => 1, '$ is a function'],
    [Symbol('s'), '$ is a symbol'],
    [{ on: { click: () => 1 } }, '$.on.click is a function'],
    [{ tags: new Set([1]) }, '$.tags is a Set'],
    [{ byId: new Map([[1, 2]]) }, '$.byId is a Map'],
    [[/x/], '$[0] is a RegExp'],
    [{ failed: new Error('why') }, '$.failed is a Error object'],
    [{ later: Promise.resolve(1) }, '$.later is a Promise'],
    [{ bytes: new Uint8Array(2) }, '$.bytes is a Uint8Array'],
    [{ list: [1, undefined] }, '$.list[1] is undefined in an array'],
    [{ list: Array(2) }, '$.list[0] is undefined in an array'],
  ])('refuses what JSON would change, naming its place: %#', (value, message) => {
    expect(() => jsonCodec.encode(value)).toThrow(message);
  });

  it('honours toJSON, calling it once', () => {
    let calls = 0;
    const money = { toJSON: () => ({ amount: String(++calls) }) };
    expect(encode({ money, at: new Date(0) })).toBe('{"money":{"amount":"1"},"at":"1970-01-01T00:00:00.000Z"}');
  });

  it('leaves out properties that are undefined, and lets the same object appear twice', () => {
    const shared = { x: 1 };
    expect(encode({ a: undefined, b: shared, c: [shared], d: { toJSON: () => shared } })).toBe('{"b":{"x":1},"c":[{"x":1}],"d":{"x":1}}');
  });

  it('reads __proto__ as an own property', () => {
    const value = jsonCodec.decode(Buffer.from('{"__proto__":{"admin":true}}')) as { admin?: boolean };
    expect(value.admin).toBeUndefined();
    expect(Object.hasOwn(value, '__proto__')).toBe(true);
  });

  it.each([Buffer.from([0x22, 0xff, 0x22]), Buffer.alloc(0), Buffer.from('{')])('refuses bytes that are no JSON: %#', (bytes) => {
    expect(() => jsonCodec.decode(bytes)).toThrow();
  });

  it('fails with a plain error when toJSON throws', () => {
    const broken = {
      toJSON: () => {
        throw new Error('no way');
      },
    };
    expect(() => jsonCodec.encode({ broken })).toThrow('no way');
  });
});
