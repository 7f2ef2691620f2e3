import { randomBytes } from 'node:crypto';
import { type EncodedMessage, encodeHeaders, newMessageIdBytes, type WireHeader, type WireRecord } from '@txbox/core/spi';

/** Every byte value once, in order. */
export const ALL_BYTES: Buffer = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));

/** Headers whose order, repeats and bytes must survive. */
export const AWKWARD_HEADERS: readonly WireHeader[] = [
  ['txbox-id', Buffer.from('00ff80c3280a0d7f00ff80c3280a0d7f', 'hex')],
  ['b', Buffer.from('second name, first in order')],
  ['a', Buffer.from('one')],
  ['a', Buffer.from('two')],
  ['empty', Buffer.alloc(0)],
  ['bytes', ALL_BYTES],
  ['größe-大', Buffer.from('名前')],
  ['a', Buffer.from('one')],
];

/** A name nobody else uses. */
export function uniqueName(what: string): string {
  return `${what}-${randomBytes(6).toString('hex')}`;
}

/** A message for an outbox, as `add` encodes it. */
export function sampleMessage(parts: Partial<EncodedMessage> = {}): EncodedMessage {
  return {
    id: newMessageIdBytes(),
    topic: 'orders',
    key: Buffer.from('key'),
    type: 'order.paid',
    aggregateType: null,
    aggregateId: null,
    sequence: null,
    headers: encodeHeaders([['txbox-type', Buffer.from('order.paid')]]),
    payload: Buffer.from('{}'),
    ...parts,
  };
}

/** A record for a publisher. */
export function sampleRecord(value: string | Buffer | null, parts: Partial<WireRecord> = {}): WireRecord {
  return { key: Buffer.from('key'), value: typeof value === 'string' ? Buffer.from(value) : value, headers: [], ...parts };
}
