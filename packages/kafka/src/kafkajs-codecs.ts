import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import { TxboxError } from '@txbox/core/spi';
import type { KafkaCompression } from './kafka-options.ts';

/** What kafkajs wants of a codec. */
interface Codec {
  compress(encoder: { readonly buffer: Buffer }): Promise<Buffer>;
  decompress(buffer: Buffer): Promise<Buffer>;
  /** Rejects with `DEPENDENCY_MISSING`. */
  ready?(): Promise<unknown>;
}

/** kafkajs's registry for the whole process: a factory by Kafka's number of a compression. */
export type CodecRegistry = Record<number, () => Partial<Codec>>;

/** What is used of `@platformatic/wasm-utils`. */
interface WasmUtils {
  snappyCompress(data: Buffer): Buffer;
  snappyDecompress(data: Buffer): Buffer;
  lz4Compress(data: Buffer): Buffer;
  lz4Decompress(data: Buffer): Buffer;
}

/** Kafka's numbers, which are kafkajs's `CompressionTypes`. */
export const COMPRESSION_TYPES: Readonly<Record<KafkaCompression, number>> = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 };

const compressZstd = promisify(zstdCompress);
const decompressZstd = promisify(zstdDecompress);

/**
 * Gives kafkajs the codecs that it lacks, for what is published and for what is read: zstd by Node, snappy and lz4 by
 * the package `@platformatic/wasm-utils`, which is loaded when it is needed. A codec that somebody else put there stays.
 */
export function installCodecs(
  registry: CodecRegistry,
  load: () => Promise<WasmUtils> = async () => await import('@platformatic/wasm-utils'),
): void {
  const wasm = async (compression: KafkaCompression): Promise<WasmUtils> => {
    try {
      return await load();
    } catch (cause) {
      throw new TxboxError(
        'DEPENDENCY_MISSING',
        `Compression ${compression} with kafkajs needs the package @platformatic/wasm-utils: install it beside @txbox/kafka (npm install @platformatic/wasm-utils).`,
        { cause, details: { package: '@platformatic/wasm-utils', compression } },
      );
    }
  };
  const codecs: Partial<Record<KafkaCompression, Codec>> = {
    snappy: {
      compress: async ({ buffer }) => (await wasm('snappy')).snappyCompress(buffer),
      decompress: async (buffer) => decompressSnappy(buffer, (await wasm('snappy')).snappyDecompress),
      ready: async () => await wasm('snappy'),
    },
    lz4: {
      compress: async ({ buffer }) => (await wasm('lz4')).lz4Compress(buffer),
      decompress: async (buffer) => (await wasm('lz4')).lz4Decompress(buffer),
      ready: async () => await wasm('lz4'),
    },
    zstd: {
      compress: async ({ buffer }) => await compressZstd(buffer),
      decompress: async (buffer) => await decompressZstd(buffer),
    },
  };
  for (const [compression, codec] of Object.entries(codecs) as [KafkaCompression, Codec][]) {
    const number = COMPRESSION_TYPES[compression];
    if (!isThere(registry, number)) registry[number] = () => codec;
  }
}

/** Rejects with `DEPENDENCY_MISSING` when the package for this compression is not installed. */
export async function codecReady(registry: CodecRegistry, compression: KafkaCompression): Promise<void> {
  await registry[COMPRESSION_TYPES[compression]]?.().ready?.();
}

/** kafkajs's own stand-ins throw. */
function isThere(registry: CodecRegistry, number: number): boolean {
  try {
    return registry[number]?.() !== undefined;
  } catch {
    return false;
  }
}

/** What begins the framing of snappy-java, in which Java's producers and brokers write. */
const XERIAL_MAGIC = Buffer.from('\x82SNAPPY\0', 'latin1');
const XERIAL_HEADER_BYTES = 16;

function decompressSnappy(data: Buffer, decompress: (block: Buffer) => Buffer): Buffer {
  if (!data.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) return decompress(data);
  const blocks: Buffer[] = [];
  for (let at = XERIAL_HEADER_BYTES; at < data.length; ) {
    const end = at + 4 + data.readUInt32BE(at);
    blocks.push(decompress(data.subarray(at + 4, end)));
    at = end;
  }
  return Buffer.concat(blocks);
}
