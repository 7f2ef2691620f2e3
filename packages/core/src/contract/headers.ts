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

/**
 * What stands in their place in the CloudEvents envelope: the attributes of CloudEvents 1.0 in its Kafka binding's binary
 * mode, with the documented extensions "partitioning", "sequence", "correlation" and "distributed tracing", and two of our own.
 */
export const CLOUD_EVENTS_HEADER = {
  specversion: 'ce_specversion',
  /** The message id as a UUID. */
  id: 'ce_id',
  source: 'ce_source',
  type: 'ce_type',
  /** Our extension: version of the event definition, decimal. */
  version: 'ce_txboxversion',
  /** Our extension. */
  aggregateType: 'ce_aggregatetype',
  /** The aggregate's id. */
  subject: 'ce_subject',
  time: 'ce_time',
  /** Where the key is UTF-8. */
  partitionKey: 'ce_partitionkey',
  correlationId: 'ce_correlationid',
  causationId: 'ce_causationid',
  sequence: 'ce_sequence',
  traceparent: 'ce_traceparent',
  tracestate: 'ce_tracestate',
} as const;

/** Most characters of a correlation or causation id. */
export const MAX_CORRELATION = 255;

const RESERVED_PREFIX = /^(?:txbox-|ce_)/i;
const RESERVED_NAMES: ReadonlySet<string> = new Set([HEADER.contentType, HEADER.traceparent, HEADER.tracestate]);

/** True for names that users' headers may not have. Not case-sensitive: some clients are not either. */
export function isReservedHeader(name: string): boolean {
  return RESERVED_PREFIX.test(name) || RESERVED_NAMES.has(name.toLowerCase());
}
