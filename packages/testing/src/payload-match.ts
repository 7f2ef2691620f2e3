import { inspect } from 'node:util';

/**
 * What a payload is compared with: any part of it. An object matches one that has its properties, an array one of the same
 * length. Matchers of test frameworks (`expect.any(String)`, `expect.stringContaining(…)`) may stand anywhere.
 */
export type PartialPayload<T> =
  | PayloadMatcher
  | (T extends Date | Uint8Array
      ? T
      : T extends readonly unknown[]
        ? { readonly [Index in keyof T]: PartialPayload<T[Index]> }
        : T extends object
          ? { readonly [Key in keyof T]?: PartialPayload<T[Key]> }
          : T);

/** A matcher of Jest, Vitest or another framework, by its shape. */
export interface PayloadMatcher {
  asymmetricMatch(actual: unknown): boolean;
}

/** What differs at one place of a payload. */
export interface Difference {
  /** `items[0].price`, '' for the payload itself. */
  readonly path: string;
  /** `expected 1, got 2`. */
  readonly text: string;
}

/** What such matchers tell of themselves. */
interface Matcher extends PayloadMatcher {
  toString(): string;
  toAsymmetricMatcher?(): string;
  /** What it compares with. */
  readonly sample?: unknown;
}

/** Where a payload is not what was expected; empty when it is. */
export function differences(actual: unknown, expected: unknown, path: string = ''): Difference[] {
  const differs = (): Difference[] => [{ path, text: `expected ${show(expected)}, got ${show(actual)}` }];
  if (isMatcher(expected)) return expected.asymmetricMatch(actual) ? [] : differs();
  if (Object.is(actual, expected)) return [];
  if (typeof expected !== 'object' || expected === null) return differs();
  // As it travels: a Date is text in JSON.
  const { toJSON } = expected as { toJSON?: unknown };
  if (typeof toJSON === 'function' && (typeof actual !== 'object' || actual === null)) {
    return Object.is(actual, toJSON.call(expected)) ? [] : differs();
  }
  if (typeof actual !== 'object' || actual === null) return differs();
  if (isDate(expected) || isDate(actual)) {
    return isDate(expected) && isDate(actual) && expected.getTime() === actual.getTime() ? [] : differs();
  }
  if (ArrayBuffer.isView(expected) || ArrayBuffer.isView(actual)) {
    return ArrayBuffer.isView(expected) && ArrayBuffer.isView(actual) && bytes(expected).equals(bytes(actual)) ? [] : differs();
  }
  if (Array.isArray(expected)) {
    if (!Array.isArray(actual)) return differs();
    if (actual.length !== expected.length) {
      return [{ path, text: `expected ${expected.length} items, got ${actual.length}: ${show(actual)}` }];
    }
    return expected.flatMap((item, index) => differences(actual[index], item, `${path}[${index}]`));
  }
  return Object.keys(expected).flatMap((key) => {
    const part = (value: object): unknown => (Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined);
    return differences(part(actual), part(expected), path === '' ? key : `${path}.${key}`);
  });
}

/** A value as texts of errors show it. */
export function show(value: unknown): string {
  return inspect(readable(value), { depth: 6, breakLength: 100, maxArrayLength: 20, maxStringLength: 200, compact: 3 });
}

/** Matchers as they are written, and not as they are made. */
function readable(value: unknown, depth: number = 0): unknown {
  if (isMatcher(value)) return { [inspect.custom]: () => value.toAsymmetricMatcher?.() ?? `${String(value)} ${inspect(value.sample)}` };
  if (typeof value !== 'object' || value === null || depth > 6) return value;
  if (Array.isArray(value)) return value.map((item) => readable(item, depth + 1));
  if (!isPlain(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, readable(part, depth + 1)]));
}

// By shape: a prototype of another realm is not this one's.
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null;
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function isMatcher(value: unknown): value is Matcher {
  return typeof (value as { asymmetricMatch?: unknown } | null | undefined)?.asymmetricMatch === 'function';
}

// By name, since test frameworks have globals of their own.
function isDate(value: unknown): value is Date {
  return Object.prototype.toString.call(value) === '[object Date]';
}

function bytes({ buffer, byteOffset, byteLength }: ArrayBufferView): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
