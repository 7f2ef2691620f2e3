import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeHeaders, encodeHeaders, HEADER, headerBlockBytes, isTxboxError, type WireHeader } from '../../src/spi.ts';

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const name = fc.oneof(
  fc.constantFrom(...Object.values(HEADER)),
  fc.string({ unit: 'binary', maxLength: 40 }).filter((text) => text.isWellFormed()),
);
const headerList = fc.array(fc.tuple(name, bytes), { maxLength: 12 });

describe('header block', () => {
  it('gives back names, values, order and repetitions', () => {
    fc.assert(
      fc.property(headerList, (headers) => {
        const block = encodeHeaders(headers);
        expect(block.length).toBe(headerBlockBytes(headers));
        expect(decodeHeaders(block)).toEqual(headers);
      }),
    );
  });

  it('carries values of every length class', () => {
    const headers: WireHeader[] = [0, 1, 127, 128, 16_383, 16_384, 2_097_152].map((length) => ['x', Buffer.alloc(length, 7)]);
    expect(decodeHeaders(encodeHeaders(headers))).toEqual(headers);
  });

  it('never crashes on damaged bytes: it says that they are unreadable', () => {
    const decodeTotally = (block: Buffer): void => {
      try {
        decodeHeaders(block);
      } catch (error) {
        expect(isTxboxError(error, 'MESSAGE_UNREADABLE')).toBe(true);
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (array) => decodeTotally(Buffer.from(array))));
    const block = encodeHeaders([
      [HEADER.id, Buffer.alloc(16, 1)],
      ['own', Buffer.from('value')],
    ]);
    for (let end = 0; end < block.length; end++) decodeTotally(block.subarray(0, end));
    expect(() => decodeHeaders(Buffer.alloc(0))).toThrow(expect.objectContaining({ code: 'MESSAGE_UNREADABLE' }));
    expect(() => decodeHeaders(Buffer.from([1, 200, 0]))).toThrow('name code 200');
    expect(() => decodeHeaders(Buffer.from([1, 1, 0xff, 0xff, 0xff, 0xff, 0xff]))).toThrow(
      expect.objectContaining({ code: 'MESSAGE_UNREADABLE' }),
    );
  });

  it('keeps the stored codes of names', () => {
    // These numbers lie in tables: changing one makes every pending row unreadable.
    const codes = Object.values(HEADER).map((header) => encodeHeaders([[header, Buffer.alloc(0)]])[1]);
    expect(codes).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
  });
});
