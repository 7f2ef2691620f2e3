/** Bytes of a row: its position, big-endian, and its id. */
const ROW_BYTES = 24;
const ID_AT = 8;
const HIGH = 0x1_0000_0000;

/** Rows of a shard by position and id alone, ascending, as one block: a relay that lags reads the heads of thousands with every page. */
export class CompactHeads {
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    if (!this.#isAscending()) this.#bytes = sorted(bytes);
  }

  /** The block of these rows. */
  static of(rows: readonly { readonly position: number; readonly id: Buffer }[]): CompactHeads {
    const bytes = rows.map(({ position, id }) => {
      const head = Buffer.alloc(ID_AT);
      head.writeBigUInt64BE(BigInt(position));
      return Buffer.concat([head, id]);
    });
    return new CompactHeads(Buffer.concat(bytes));
  }

  get length(): number {
    return this.#bytes.length / ROW_BYTES;
  }

  position(index: number): number {
    const at = index * ROW_BYTES;
    return this.#bytes.readUInt32BE(at) * HIGH + this.#bytes.readUInt32BE(at + 4);
  }

  /** True when the row has this id. */
  isOf(index: number, id: Buffer): boolean {
    const at = index * ROW_BYTES + ID_AT;
    return this.#bytes.compare(id, 0, id.length, at, at + ROW_BYTES - ID_AT) === 0;
  }

  #isAscending(): boolean {
    for (let index = 1; index < this.length; index += 1) if (this.position(index) < this.position(index - 1)) return false;
    return true;
  }
}

/** The block that so many rows make, or `undefined` when the server cut it short. */
export function compactHeads(rows: number, bytes: Buffer | null): CompactHeads | undefined {
  const block = bytes ?? Buffer.alloc(0);
  return block.length === rows * ROW_BYTES ? new CompactHeads(block) : undefined;
}

/** An expression: a row of the block. */
export function compactHeadOf(position: string, id: string): string {
  return `CONCAT(UNHEX(LPAD(HEX(${position}), 16, '0')), ${id})`;
}

// Rows come by the clustered key, which is not a promise.
function sorted(bytes: Buffer): Buffer {
  const rows = Array.from({ length: bytes.length / ROW_BYTES }, (_, index) => bytes.subarray(index * ROW_BYTES, (index + 1) * ROW_BYTES));
  return Buffer.concat(rows.sort(Buffer.compare));
}
