import { randomBytes } from 'node:crypto';
import { compatibilityPartitioner, murmur2 as platformaticMurmur2 } from '@platformatic/kafka';
import { bucketOf, murmur2 } from '@txbox/core/spi';
import kafkajs from 'kafkajs';
import { describe, expect, it } from 'vitest';

/** Of every length that the hash treats on its own, and longer than a block. */
const KEYS: readonly Buffer[] = [...Array(1_000).keys()].map((n) => randomBytes(n % 37));
const COUNTS = [1, 2, 3, 12, 50, 1_000];

describe('a key goes into the partition into which every client would put it', () => {
  it('kafkajs', () => {
    const partitioner = kafkajs.Partitioners.DefaultPartitioner();
    for (const count of COUNTS) {
      const partitionMetadata = Array.from({ length: count }, (_, partitionId) => ({ partitionId, leader: 0 })) as never;
      for (const key of KEYS)
        expect(partitioner({ topic: 'orders', partitionMetadata, message: { key, value: null } })).toBe(bucketOf(key, count));
    }
  });

  it('@platformatic/kafka', () => {
    for (const key of KEYS) {
      expect(platformaticMurmur2(key)).toBe(murmur2(key) | 0);
      for (const count of COUNTS) expect(compatibilityPartitioner({} as never, key as never) % count).toBe(bucketOf(key, count));
    }
  });
});
