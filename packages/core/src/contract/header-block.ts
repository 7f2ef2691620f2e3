import { TxboxError } from '../runtime/error.ts';
import type { WireHeader } from '../transport/delivery.ts';
import { HEADER } from './headers.ts';

/**
 * Form of headers in a table:
 *
 * ```
 * block  = format (1 byte, 1) header*
 * header = code (1 byte) [length name]  length value      name only when code is 0
 * length = unsigned LEB128, at most 4 bytes
 * ```
 *
 * The position in this list is the stored code: append only. A new name is readable one release before it is written
 * as a code (P-T9).
 */
const NAMES: readonly string[] = [
  '', // code 0: the name follows
  HEADER.id,
  HEADER.type,
  HEADER.version,
  HEADER.aggregateType,
  HEADER.aggregateId,
  HEADER.occurredAt,
  HEADER.contentType,
  HEADER.correlationId,
  HEADER.causationId,
  HEADER.sequence,
  HEADER.publishedAt,
  HEADER.replay,
  HEADER.gap,
  HEADER.traceparent,
  HEADER.tracestate,
];
const CODES: ReadonlyMap<string, number> = new Map(NAMES.slice(1).map((name, index) => [name, index + 1]));
const FORMAT = 1;
const MAX_LENGTH = 0x0f_ff_ff_ff;
const KEPT_BYTES = 65_536;

function lengthSize(length: number): number {
  if (length < 0x80) return 1;
  if (length < 0x4000) return 2;
  return length < 0x20_0000 ? 3 : 4;
}

/** Bytes that {@link encodeHeaders} needs. */
export function headerBlockBytes(headers: readonly WireHeader[]): number {
  let size = 1;
  for (const [name, value] of headers) {
    size += 1 + lengthSize(value.length) + value.length;
    if (CODES.has(name)) continue;
    const bytes = Buffer.byteLength(name);
    size += lengthSize(bytes) + bytes;
  }
  return size;
}

/** The stored form of headers; names may repeat, order is kept. Throws `HEADER_INVALID` for a value that no block can hold. */
export function encodeHeaders(headers: readonly WireHeader[]): Buffer {
  const writer = new HeaderBlockWriter(headerBlockBytes(headers));
  for (const [name, value] of headers) writer.put(name, value);
  return writer.take();
}

/** The headers of a block as they stand there, to be put into others. */
export function headersOf(block: Buffer): Buffer {
  return block.subarray(1);
}

/** Writes blocks, one after the other, header by header. */
export class HeaderBlockWriter {
  #block: Buffer;
  readonly #usualBytes: number;
  #at = 0;

  /** `usualBytes` of a block; it grows where more are needed. */
  constructor(usualBytes: number) {
    this.#usualBytes = usualBytes;
    this.#block = Buffer.allocUnsafe(usualBytes);
    this.begin();
  }

  /** Begins a new block. */
  begin(): void {
    // One that was very large does not stay.
    if (this.#block.length > KEPT_BYTES && this.#block.length > this.#usualBytes) this.#block = Buffer.allocUnsafe(this.#usualBytes);
    this.#block[0] = FORMAT;
    this.#at = 1;
  }

  put(name: string, value: Uint8Array): void {
    this.#name(name, value.length);
    this.#block.set(value, this.#at);
    this.#at += value.length;
  }

  /** The value is text, as UTF-8. */
  putText(name: string, value: string): void {
    const bytes = Buffer.byteLength(value);
    this.#name(name, bytes);
    this.#at += this.#block.write(value, this.#at, 'utf8');
  }

  /** Headers that {@link headersOf} took out of a block. */
  putAll(headers: Uint8Array): void {
    this.#room(headers.length);
    this.#block.set(headers, this.#at);
    this.#at += headers.length;
  }

  /** The block as it is now, a copy. */
  take(): Buffer {
    return Buffer.from(this.#block.subarray(0, this.#at));
  }

  #name(name: string, valueBytes: number): void {
    if (valueBytes > MAX_LENGTH) throw new TxboxError('HEADER_INVALID', `A header has at most ${MAX_LENGTH} bytes, got ${valueBytes}.`);
    const code = CODES.get(name) ?? 0;
    const nameBytes = code === 0 ? Buffer.byteLength(name) : 0;
    this.#room(9 + nameBytes + valueBytes);
    this.#block[this.#at++] = code;
    if (code === 0) {
      this.#length(nameBytes);
      this.#at += this.#block.write(name, this.#at, 'utf8');
    }
    this.#length(valueBytes);
  }

  #length(length: number): void {
    let rest = length;
    while (rest >= 0x80) {
      this.#block[this.#at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#block[this.#at++] = rest;
  }

  #room(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#block.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#block.length));
    this.#block.copy(larger, 0, 0, this.#at);
    this.#block = larger;
  }
}

/** The headers of a stored block; values are views into it. Throws `MESSAGE_UNREADABLE` for damaged bytes. */
export function decodeHeaders(block: Buffer): WireHeader[] {
  if (block[0] !== FORMAT) throw damaged(`its format is ${block[0] ?? 'missing'}, known is ${FORMAT}`);
  const headers: WireHeader[] = [];
  let at = 1;
  const take = (): Buffer => {
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = block[at++];
      if (byte === undefined || shift > 21) throw damaged(`a length is cut off at byte ${at - 1}`);
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    if (at + length > block.length) throw damaged(`a header ends at byte ${at + length} of ${block.length}`);
    const bytes = block.subarray(at, at + length);
    at += length;
    return bytes;
  };
  while (at < block.length) {
    const code = block[at++] as number;
    const name = code === 0 ? take().toString('utf8') : NAMES[code];
    if (name === undefined) throw damaged(`name code ${code} is unknown`);
    headers.push([name, take()]);
  }
  return headers;
}

function damaged(reason: string): TxboxError {
  return new TxboxError('MESSAGE_UNREADABLE', `A stored header block cannot be read: ${reason}.`);
}
