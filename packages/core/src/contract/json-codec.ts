import { isUtf8 } from 'node:buffer';
import type { Codec } from './codec.ts';

/** Deeper values take the checked way, which also finds cycles. */
const PLAIN_DEPTH = 100;

/**
 * JSON as UTF-8, content type `application/json`. `toJSON` is honoured; properties that are `undefined` are left out.
 *
 * Refuses what JSON would change silently, naming the path: `bigint`, `NaN`, infinities, integers that are not safe,
 * invalid dates, cycles, functions, symbols, `undefined` in an array or as a whole, and objects of which nothing would be
 * left: Map, Set, RegExp, Error, a promise, typed arrays. Carry such values as text, or use another codec.
 */
// `any` on purpose: what JSON gives back is checked by the event's schema, and a codec fits every payload type.
export const jsonCodec: Codec<any> = {
  contentType: 'application/json',
  encode(value: unknown) {
    const text = isPlain(value, 0) ? JSON.stringify(value) : checkedStringify(value);
    if (text === undefined) throw new TypeError(`$ is ${typeof value}, which JSON cannot express`);
    return Buffer.from(text, 'utf8');
  },
  decode(bytes) {
    if (!isUtf8(bytes)) throw new TypeError('the bytes are not UTF-8');
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  },
};

/** True when `JSON.stringify` alone cannot change anything silently: the usual case, and several times cheaper than a replacer. */
function isPlain(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'undefined':
      return true;
    case 'number':
      return Number.isInteger(value) ? Number.isSafeInteger(value) : Number.isFinite(value);
    case 'object':
      break;
    default:
      return false;
  }
  if (value === null) return true;
  if (depth > PLAIN_DEPTH) return false;
  if (Array.isArray(value)) {
    // Not every(), which passes over holes.
    for (const item of value) if (item === undefined || !isPlain(item, depth + 1)) return false;
    return true;
  }
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return value instanceof Date && !Number.isNaN(value.getTime());
  if (value instanceof Number || value instanceof BigInt || isEmptied(value)) return false;
  for (const key in value) {
    if (!isPlain((value as Record<string, unknown>)[key], depth + 1)) return false;
  }
  return true;
}

const EMPTIED = new Set(['Map', 'Set', 'WeakMap', 'WeakSet', 'RegExp', 'Error', 'Promise', 'ArrayBuffer', 'SharedArrayBuffer', 'DataView']);

/** Whether JSON keeps nothing of an object, or makes an object of bytes. */
function isEmptied(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null || Array.isArray(value)) return false;
  return EMPTIED.has(kindOf(value)) || ArrayBuffer.isView(value);
}

function kindOf(value: object): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

/** `JSON.stringify` that looks at every value as it will be written, after `toJSON`. */
function checkedStringify(root: unknown): string | undefined {
  const ancestors: object[] = [];
  const keys: string[] = [];
  return JSON.stringify(root, function (this: Record<string, unknown>, key: string, value: unknown): unknown {
    // `this` holds what is looked at, so it is the last ancestor; what was entered after it is finished.
    while (ancestors.length > 0 && ancestors.at(-1) !== this) {
      ancestors.pop();
      keys.pop();
    }
    const problem = problemOf(this[key], value, ancestors);
    if (problem !== undefined) throw new TypeError(`${pathOf(ancestors.length === 0 ? [] : [...keys.slice(1), key])} ${problem}`);
    if (typeof value === 'object' && value !== null) {
      ancestors.push(value);
      keys.push(key);
    }
    return value;
  });
}

function problemOf(original: unknown, value: unknown, ancestors: readonly object[]): string | undefined {
  if (value === null && original instanceof Date) return 'is an invalid Date';
  if (typeof value === 'object' && value !== null) {
    if (ancestors.includes(value)) return 'is cyclic';
    if (isEmptied(value)) return `is a ${kindOf(value)} object, of which JSON keeps nothing useful`;
  }
  if (typeof value === 'function' || typeof value === 'symbol') return `is a ${typeof value}, which JSON leaves out`;
  if (value === undefined && Array.isArray(ancestors.at(-1))) return 'is undefined in an array, which JSON would turn into null';
  const plain = value instanceof Number || value instanceof BigInt ? value.valueOf() : value;
  if (typeof plain === 'bigint') return 'is a bigint, which JSON cannot express';
  if (typeof plain !== 'number') return undefined;
  if (!Number.isFinite(plain)) return `is ${plain}, which JSON would turn into null`;
  if (Number.isInteger(plain) && !Number.isSafeInteger(plain)) return `is ${plain}, an integer beyond 2^53 - 1, which readers would round`;
  return undefined;
}

function pathOf(keys: readonly string[]): string {
  let path = '$';
  for (const key of keys) {
    if (/^(?:0|[1-9]\d*)$/.test(key)) path += `[${key}]`;
    else path += /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
  }
  return path;
}
