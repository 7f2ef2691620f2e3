import { createHash, type Hash } from 'node:crypto';
import { TxboxError } from '../runtime/error.ts';
import type { IdempotencyKey } from './event-sink.ts';

/** What the column holds. */
export const MAX_IDEMPOTENCY_KEY_BYTES = 255;

/**
 * The key of one call, with a fingerprint of what it is called with. Functions, symbols, and objects inside themselves
 * count by their place only. Throws `IDEMPOTENCY_KEY_INVALID` for what is no text of 1 to 255 bytes.
 */
export function idempotencyKey(what: string, key: unknown, method: string, args: readonly unknown[]): IdempotencyKey {
  if (typeof key !== 'string' || key === '' || Buffer.byteLength(key) > MAX_IDEMPOTENCY_KEY_BYTES) {
    const got = typeof key === 'string' ? `one of ${Buffer.byteLength(key)} bytes` : key === null ? 'null' : typeof key;
    throw new TxboxError(
      'IDEMPOTENCY_KEY_INVALID',
      `The idempotencyKey of ${what} must be a text of 1 to ${MAX_IDEMPOTENCY_KEY_BYTES} bytes, got ${got}. Nothing was done.`,
    );
  }
  const hash = createHash('sha256');
  digest(hash, [method, ...args], []);
  return { key, fingerprint: hash.digest() };
}

/** Feeds a value unambiguously: each with its kind and length, keys of objects sorted. */
function digest(hash: Hash, value: unknown, around: readonly object[]): void {
  if (typeof value !== 'object' || value === null) {
    const text = typeof value === 'function' || typeof value === 'symbol' ? '' : String(value);
    hash.update(`${typeof value}:${text.length}:${text};`);
    return;
  }
  if (around.includes(value)) {
    hash.update('cycle;');
    return;
  }
  if (ArrayBuffer.isView(value)) {
    hash.update(`bytes:${value.byteLength}:`).update(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
    return;
  }
  const inside = [...around, value];
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON === 'function') {
    hash.update('json:');
    digest(hash, toJSON.call(value), inside);
    return;
  }
  const entries =
    value instanceof Map || value instanceof Set
      ? [...value.entries()]
      : Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1));
  hash.update(`${Array.isArray(value) ? 'array' : 'object'}:${entries.length}:`);
  for (const [name, part] of entries) {
    digest(hash, name, inside);
    digest(hash, part, inside);
  }
}
