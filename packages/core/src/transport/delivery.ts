/** One header as it travels: name and bytes. A name may repeat; order is kept. */
export type WireHeader = readonly [name: string, value: Buffer];

/** A message as a broker hands it over, before anything of it is understood. */
export interface Delivery {
  readonly topic: string;
  readonly partition: number;
  /** Place within the lane, ascending; what a checkpoint names. */
  readonly offset: bigint;
  /** `null` = the record has no key. */
  readonly key: Buffer | null;
  /** `null` = a tombstone; an empty Buffer is an empty payload. Both pass (P-I12). */
  readonly value: Buffer | null;
  readonly headers: readonly WireHeader[];
  /** The record's own timestamp, milliseconds since 1970. */
  readonly timestamp: number;
}
