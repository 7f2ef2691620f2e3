import { bucketOf, type EncodedMessage, encodeHeaders, newMessageIdBytes } from '@txbox/core/spi';
import { SHARDS } from '@txbox/outbox/store';

/** A message of that key. */
export function message(key: Buffer): EncodedMessage {
  return {
    id: newMessageIdBytes(),
    topic: 'orders',
    key,
    type: 't',
    aggregateType: null,
    aggregateId: null,
    sequence: null,
    headers: encodeHeaders([]),
    payload: Buffer.from('{}'),
  };
}

/** So many keys of a shard. */
export function keysOf(shard: number, count: number): Buffer[] {
  const keys: Buffer[] = [];
  for (let number = 0; keys.length < count; number++) {
    const key = Buffer.from(`key ${number}`);
    if (bucketOf(key, SHARDS) === shard) keys.push(key);
  }
  return keys;
}
