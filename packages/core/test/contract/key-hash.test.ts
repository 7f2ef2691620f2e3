import { describe, expect, it } from 'vitest';
import { bucketOf, murmur2 } from '../../src/spi.ts';

describe('murmur2', () => {
  // From org.apache.kafka.common.utils.UtilsTest.testMurmur2.
  it.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])('hashes %j like Kafka', (text, hash) => {
    expect(murmur2(Buffer.from(text)) | 0).toBe(hash);
  });

  it('puts every key into a bucket', () => {
    for (let n = 0; n < 1_000; n++) {
      const bucket = bucketOf(Buffer.from(String(n)), 16);
      expect(bucket >= 0 && bucket < 16).toBe(true);
    }
    expect(bucketOf(Buffer.alloc(0), 16)).toBe((murmur2(Buffer.alloc(0)) & 0x7fffffff) % 16);
  });
});
