import { headerBlockBytes, TxboxError, type WireRecord } from '@txbox/core/spi';

/** Throws `PUBLISH_REJECTED` for the first record that is larger than the limit. */
export function refuseTooLarge(records: readonly WireRecord[], maxRecordBytes: number, topic: string): void {
  for (const { key, value, headers } of records) {
    const bytes = (key?.length ?? 0) + (value?.length ?? 0) + headerBlockBytes(headers);
    if (bytes <= maxRecordBytes) continue;
    throw new TxboxError(
      'PUBLISH_REJECTED',
      `A record for topic ${topic} has ${bytes} bytes, more than maxRecordBytes (${maxRecordBytes}).`,
      { details: { topic, bytes, maxRecordBytes } },
    );
  }
}
