import type { WireHeader } from './delivery.ts';

/** A record ready for the wire. */
export interface WireRecord {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly WireHeader[];
}

/** Records of exactly one lane (topic and partition), in order. Never empty. */
export interface PublishRequest {
  readonly topic: string;
  readonly partition: number;
  readonly records: readonly WireRecord[];
}

/** Proof that every record of a request is in the log: the broker named this partition, no error and a base offset (P-R6). */
export interface PublishReceipt {
  readonly topic: string;
  readonly partition: number;
  readonly baseOffset: bigint;
}

/** What a publisher knows of a topic. */
export interface TopicDescription {
  readonly topic: string;
  readonly partitions: number;
}

/**
 * How a failed request is to be treated (P-R10).
 *
 * - `transient`: nothing says the records can never be stored; hold the lane, back off, send the same again.
 *   Includes every unknown outcome (P-R6): a time-out, a lost connection, an answer that names something else.
 * - `record`: the broker refuses a record for what it is (too large, corrupt); sending it again cannot help.
 * - `topic`: the topic is gone, or this client may not write to it; the other lanes are unharmed.
 */
export type PublishFailureKind = 'transient' | 'record' | 'topic';

/**
 * Puts records into a broker's log.
 *
 * An implementation guarantees: a resolved `publish` means that all records are stored in this partition, in this
 * order, as durably as the broker can (acks −1); everything else rejects, and `classify` says what the rejection
 * means. It never chooses another partition, never creates topics, never drops or reorders records inside a request,
 * and may store a request more than once (duplicates are the consumer's business).
 *
 * It is the caller's job to have at most one unacknowledged request per lane (P-R4, P-R5), to bound requests, and to retry.
 */
export interface Publisher {
  /** For logs and status: `kafkajs`, `embedded`, … */
  readonly name: string;
  /** The largest record (key, value and headers) this broker takes, bytes; what is larger is split off and fails alone. */
  readonly maxRecordBytes: number;
  /** Longest time, milliseconds, for which a request may still reach the log after it was sent: retries inside the client count. Default 60,000. */
  readonly settlesWithinMs?: number;
  /** Opens connections. Rejects with `BROKER_UNAVAILABLE` when no broker answers; may be called again afterwards. */
  connect(): Promise<void>;
  /** Rejects with `TOPIC_MISSING`, `TOPIC_NOT_AUTHORIZED` or `BROKER_UNAVAILABLE`. Asks the broker each time. */
  describeTopic(topic: string): Promise<TopicDescription>;
  publish(request: PublishRequest): Promise<PublishReceipt>;
  /** What an error thrown by `publish` or `describeTopic` means. Total: an unknown error is `transient`. */
  classify(error: unknown): PublishFailureKind;
  /** Closes connections; requests in flight settle first or reject. May be called twice. */
  close(): Promise<void>;
}
