import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import * as wasmUtils from '@platformatic/wasm-utils';
import { describe, expect, it } from 'vitest';
import { COMPRESSION_TYPES, type CodecRegistry, codecReady, installCodecs } from '../src/kafkajs-codecs.ts';

const kafkajs = createRequire(import.meta.url)('kafkajs') as { CompressionTypes: Record<string, number>; CompressionCodecs: CodecRegistry };

/** As kafkajs has it: gzip, and stand-ins that throw. */
function registry(): CodecRegistry {
  return { ...kafkajs.CompressionCodecs };
}

const missing = async (): Promise<typeof wasmUtils> => {
  throw new Error("Cannot find package '@platformatic/wasm-utils'");
};

it("Kafka's numbers are kafkajs's", () => {
  const { None, GZIP, Snappy, LZ4, ZSTD } = kafkajs.CompressionTypes;
  expect(COMPRESSION_TYPES).toEqual({ none: None, gzip: GZIP, snappy: Snappy, lz4: LZ4, zstd: ZSTD });
});

describe.each(['snappy', 'lz4', 'zstd'] as const)('%s', (compression) => {
  const codecOf = (codecs: CodecRegistry) => codecs[COMPRESSION_TYPES[compression]]?.();

  it('is lacking in kafkajs alone, and gives back what it packed', async () => {
    const codecs = registry();
    expect(() => codecOf(codecs)).toThrow('not implemented');
    installCodecs(codecs);
    await codecReady(codecs, compression);
    // What does not shrink, what shrinks well, nothing at all, and large after small: memory grows on the way.
    for (const data of [randomBytes(100), Buffer.alloc(2_000_000, 'abc'), Buffer.alloc(0), randomBytes(1_000_000)]) {
      const packed = await codecOf(codecs)?.compress?.({ buffer: data });
      expect((await codecOf(codecs)?.decompress?.(packed as Buffer))?.equals(data)).toBe(true);
    }
  });

  it('stays as somebody else gave it', () => {
    const codecs = registry();
    const own = {};
    codecs[COMPRESSION_TYPES[compression]] = () => own;
    installCodecs(codecs);
    expect(codecOf(codecs)).toBe(own);
  });
});

it('a missing package is named when it is needed, and only then', async () => {
  const codecs = registry();
  installCodecs(codecs, missing);
  for (const compression of ['none', 'gzip', 'zstd'] as const) await codecReady(codecs, compression);
  for (const compression of ['snappy', 'lz4'] as const) {
    await expect(codecReady(codecs, compression)).rejects.toMatchObject({
      code: 'DEPENDENCY_MISSING',
      message: expect.stringContaining(`Compression ${compression} with kafkajs needs the package @platformatic/wasm-utils: install it`),
    });
  }
});
