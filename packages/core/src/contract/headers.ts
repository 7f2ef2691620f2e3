/** Names of the headers on the wire. Text is UTF-8 unless said otherwise. */
export const HEADER = {
  /** Sixteen bytes: the message's identity. */
  id: 'txbox-id',
  /** Name of the event definition. */
  type: 'txbox-type',
  /** Version of the event definition, decimal. */
  version: 'txbox-version',
  aggregateType: 'txbox-aggregate-type',
  aggregateId: 'txbox-aggregate-id',
  /** RFC 3339, UTC, milliseconds. */
  occurredAt: 'txbox-occurred-at',
  contentType: 'content-type',
  correlationId: 'txbox-correlation-id',
  causationId: 'txbox-causation-id',
  /** Number of the message within its key, decimal; added at publishing (P-T5, P-W6). */
  sequence: 'txbox-sequence',
  /** RFC 3339: first publishing of a message that is sent again (P-I9). */
  publishedAt: 'txbox-published-at',
  replay: 'txbox-replay',
  /** Sequence number of a message that was discarded or skipped (P-I7). */
  gap: 'txbox-gap',
  traceparent: 'traceparent',
  tracestate: 'tracestate',
} as const;

const RESERVED_PREFIX = /^(?:txbox-|ce_)/i;
const RESERVED_NAMES: ReadonlySet<string> = new Set([HEADER.contentType, HEADER.traceparent, HEADER.tracestate]);

/** True for names that users' headers may not have. Not case-sensitive: some clients are not either. */
export function isReservedHeader(name: string): boolean {
  return RESERVED_PREFIX.test(name) || RESERVED_NAMES.has(name.toLowerCase());
}
