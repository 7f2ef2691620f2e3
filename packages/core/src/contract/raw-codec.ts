import type { Codec } from './codec.ts';

/** Bytes as they are, copied at `add`. Decodes to a `Buffer`. Content type `application/octet-stream`. */
export const rawCodec: Codec<Uint8Array> = {
  contentType: 'application/octet-stream',
  encode(value) {
    if (!(value instanceof Uint8Array)) {
      throw new TypeError(`rawCodec takes a Uint8Array or Buffer, got ${value === null ? 'null' : typeof value}`);
    }
    return Buffer.from(value);
  },
  decode: (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
};
