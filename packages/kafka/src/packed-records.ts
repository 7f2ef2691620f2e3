import type { WireRecord } from '@txbox/core/spi';

/** Bytes that a length, a delta or a count takes at most. */
const MOST_OF_A_NUMBER = 5;
/** Names of headers are few; a process that sees many more does not keep them all. */
const KEPT_NAMES = 1_000;
/** Shorter values are copied byte by byte: a call costs more. */
const SHORT = 24;

const names: Map<string, Buffer> = new Map();

/**
 * Records in the form that Kafka's record batches have them since version 2, one after the other, without timestamps of their
 * own:
 *
 * ```
 * record = length  attributes (0)  timestamp delta (0)  offset delta  key  value  count  header*
 * header = name  value
 * ```
 *
 * Numbers are zigzag LEB128; what is null has the length −1.
 */
export class PackedRecords {
  readonly bytes: Buffer;
  /** Where the first record ends. */
  readonly #firstEnd: number;
  #at = 0;

  constructor(records: readonly WireRecord[]) {
    const sizes = records.map((record, index) => bodyBytes(record, index));
    this.bytes = Buffer.allocUnsafe(sizes.reduce((sum, size) => sum + numberBytes(size) + size, 0));
    let firstEnd = 0;
    for (const [index, record] of records.entries()) {
      this.#number(sizes[index] as number);
      this.#record(record, index);
      if (index === 0) firstEnd = this.#at;
    }
    this.#firstEnd = firstEnd;
  }

  /** True when the first record is exactly these bytes. */
  startsWith(record: Buffer): boolean {
    return record.length === this.#firstEnd && record.compare(this.bytes, 0, this.#firstEnd) === 0;
  }

  #record({ key, value, headers }: WireRecord, offsetDelta: number): void {
    const { bytes } = this;
    bytes[this.#at++] = 0;
    bytes[this.#at++] = 0;
    this.#number(offsetDelta);
    this.#data(key);
    this.#data(value);
    this.#number(headers.length);
    for (const [name, data] of headers) {
      this.#data(nameOf(name));
      this.#data(data);
    }
  }

  #data(data: Buffer | null): void {
    if (data === null) {
      this.#number(-1);
      return;
    }
    const { bytes } = this;
    const { length } = data;
    this.#number(length);
    if (length > SHORT) bytes.set(data, this.#at);
    else for (let index = 0; index < length; index += 1) bytes[this.#at + index] = data[index] as number;
    this.#at += length;
  }

  #number(value: number): void {
    const { bytes } = this;
    let rest = zigzag(value);
    while (rest >= 0x80) {
      bytes[this.#at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[this.#at++] = rest;
  }
}

function bodyBytes({ key, value, headers }: WireRecord, offsetDelta: number): number {
  let bytes = 2 + numberBytes(offsetDelta) + dataBytes(key) + dataBytes(value) + numberBytes(headers.length);
  for (const [name, data] of headers) bytes += dataBytes(nameOf(name)) + dataBytes(data);
  return bytes;
}

function dataBytes(data: Buffer | null): number {
  return data === null ? numberBytes(-1) : numberBytes(data.length) + data.length;
}

function numberBytes(value: number): number {
  const coded = zigzag(value);
  let bytes = 1;
  while (bytes < MOST_OF_A_NUMBER && coded >= 2 ** (7 * bytes)) bytes += 1;
  return bytes;
}

function zigzag(value: number): number {
  return ((value << 1) ^ (value >> 31)) >>> 0;
}

function nameOf(name: string): Buffer {
  let bytes = names.get(name);
  if (!bytes) {
    bytes = Buffer.from(name);
    if (names.size >= KEPT_NAMES) names.clear();
    names.set(name, bytes);
  }
  return bytes;
}
