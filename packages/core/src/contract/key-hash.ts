/**
 * Kafka's default hash of a key: 32-bit murmur2 with seed 0x9747b28c, little-endian.
 * Source: org.apache.kafka.common.utils.Utils.murmur2; checked against golden vectors and the clients' own.
 */
export function murmur2(data: Uint8Array): number {
  const length = data.length;
  const m = 0x5bd1e995;
  let h = 0x9747b28c ^ length;
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    let k = (data[i] as number) | ((data[i + 1] as number) << 8) | ((data[i + 2] as number) << 16) | ((data[i + 3] as number) << 24) | 0;
    k = Math.imul(k, m);
    k ^= k >>> 24;
    k = Math.imul(k, m);
    h = Math.imul(h, m) ^ k;
  }
  const rest = length - i;
  if (rest === 3) h ^= (data[i + 2] as number) << 16;
  if (rest >= 2) h ^= (data[i + 1] as number) << 8;
  if (rest >= 1) h = Math.imul(h ^ (data[i] as number), m);
  h ^= h >>> 13;
  h = Math.imul(h, m);
  h ^= h >>> 15;
  return h;
}

/** The bucket of a key among `count`: Kafka's own rule, used for partitions and for shards (P-T1). */
export function bucketOf(bytes: Uint8Array, count: number): number {
  return (murmur2(bytes) & 0x7fffffff) % count;
}
