import { createHash } from 'node:crypto';
import { encodeHeaders } from '../contract/header-block.ts';
import { HEADER } from '../contract/headers.ts';

/** The row of a parked key: one for each topic and key. A message without a key parks alone, under its own id. */
export function parkedKeyId(topic: string, key: Buffer | null, messageId: Buffer): Buffer {
  if (key === null) return messageId;
  return createHash('sha256').update(topic).update('\0').update(key).digest().subarray(0, 16);
}

/** Headers of the record that takes the place of a numbered message that nobody will see: consumers only note its number (P-I7). */
export function gapMarkerHeaders(sequence: number): Buffer {
  return encodeHeaders([[HEADER.gap, Buffer.from(String(sequence))]]);
}

/** Longest reason that is kept, characters. */
const MAX_REASON = 2_000;

/** `CODE: what was said`, as it stands in the tables. */
export function parkingReason(code: string, message: string): string {
  const text = `${code}: ${message}`;
  return text.length <= MAX_REASON ? text : `${text.slice(0, MAX_REASON - 1)}…`;
}
