import { randomBytes } from 'node:crypto';
import { TxboxError } from '../runtime/error.ts';

/** Identity of a message: a UUID in its usual text form, lower case. Sixteen bytes in tables and on the wire. */
export type MessageId = string & { readonly __messageId: never };

const TEXT = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

// 12 bits of counter per millisecond (RFC 9562, method 1, with overflow running ahead of the clock).
let lastMs = 0;
let counter = 0;
let pool = Buffer.alloc(0);
let used = 0;

/** Sixteen bytes of a new UUIDv7 (RFC 9562), ascending within this process. */
export function newMessageIdBytes(now: number = Date.now()): Buffer {
  if (now > lastMs) {
    lastMs = now;
    counter = 0;
  } else if (++counter > 0xfff) {
    lastMs += 1;
    counter = 0;
  }
  if (used + 8 > pool.length) {
    pool = randomBytes(4096);
    used = 0;
  }
  const id = Buffer.allocUnsafe(16);
  id.writeUIntBE(lastMs, 0, 6);
  id.writeUInt16BE(0x7000 | counter, 6);
  pool.copy(id, 8, used, used + 8);
  used += 8;
  id[8] = (id.readUInt8(8) & 0x3f) | 0x80;
  return id;
}

const DIGITS = Buffer.from('0123456789abcdef');
const DASH = 0x2d;
const text = Buffer.alloc(36);

/** The text form of sixteen bytes. */
export function messageIdFromBytes(bytes: Uint8Array): MessageId {
  if (bytes.length !== 16) {
    throw new TxboxError('MESSAGE_ID_INVALID', `A message id has 16 bytes, got ${bytes.length}.`);
  }
  let at = 0;
  for (let byte = 0; byte < 16; byte += 1) {
    if (byte === 4 || byte === 6 || byte === 8 || byte === 10) text[at++] = DASH;
    const value = bytes[byte] as number;
    text[at++] = DIGITS[value >> 4] as number;
    text[at++] = DIGITS[value & 15] as number;
  }
  return text.toString('latin1') as MessageId;
}

/** The sixteen bytes of a text form. Throws `MESSAGE_ID_INVALID` for anything else, a coerced object above all (P-I8). */
export function messageIdToBytes(id: string): Buffer {
  if (typeof id !== 'string' || !TEXT.test(id)) {
    throw new TxboxError('MESSAGE_ID_INVALID', `A message id is a UUID like 0190a0b0-0000-7000-8000-000000000000, got ${String(id)}.`);
  }
  return Buffer.from(id.replaceAll('-', ''), 'hex');
}
