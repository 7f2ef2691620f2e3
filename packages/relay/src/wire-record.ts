import { CLOUD_EVENTS_HEADER, decodeHeaders, HEADER, headerOf, instantOfSqlTime, type WireHeader, type WireRecord } from '@txbox/core/spi';

/** What a record is made of, as the tables hold it. */
export interface StoredMessage {
  readonly key: Buffer | null;
  readonly sequence: number | null;
  /** Encoded header block (see `decodeHeaders`). */
  readonly headers: Buffer;
}

/**
 * The record of a stored message: wire headers as `add` encoded them, the sequence number, which is known only after the
 * INSERT (P-T5), and `more`. Throws `MESSAGE_UNREADABLE`.
 */
export function wireRecord({ key, sequence, headers: block }: StoredMessage, value: Buffer, more: readonly WireHeader[] = []): WireRecord {
  const headers = decodeHeaders(block);
  if (sequence !== null) {
    const cloudEvent = headerOf(headers, CLOUD_EVENTS_HEADER.id) !== undefined;
    headers.push([cloudEvent ? CLOUD_EVENTS_HEADER.sequence : HEADER.sequence, Buffer.from(String(sequence))]);
  }
  headers.push(...more);
  return { key, value, headers };
}

/** Says when a message that is sent again was published first (P-I9). `publishedAt`: UTC, `YYYY-MM-DD HH:MM:SS.ffffff`. */
export function publishedAtHeader(publishedAt: string): WireHeader {
  return [HEADER.publishedAt, Buffer.from(new Date(instantOfSqlTime(publishedAt)).toISOString())];
}
