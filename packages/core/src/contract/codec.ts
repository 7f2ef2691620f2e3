/**
 * Turns a payload into the bytes that travel, and back. `encode` is called once, at `add`; the bytes reach the
 * consumer's handler unchanged (P-T5). Both may throw; the framework reports `PAYLOAD_NOT_ENCODABLE` and `PAYLOAD_NOT_DECODABLE`.
 */
export interface Codec<T = unknown> {
  /** Goes on the wire as header `content-type`. */
  readonly contentType: string;
  encode(value: T): Uint8Array;
  decode(bytes: Uint8Array): T;
}
