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

/** A topic as far as the safety of its records goes. What could not be seen is left out, and named in `unchecked` when that matters. */
export interface TopicInspection {
  readonly topic: string;
  /** `missing` and `not-authorized` topics have no further facts. */
  readonly state: 'there' | 'missing' | 'not-authorized';
  /** Replicas of a record; of the partition that has the fewest. */
  readonly replicas?: number;
  /** Replicas in sync without which the broker refuses records. */
  readonly minInSyncReplicas?: number;
  /** Whether a replica that lacks acknowledged records may become the leader. */
  readonly uncleanElection?: boolean;
  /** The largest batch of records that the broker takes for this topic, bytes. */
  readonly maxBatchBytes?: number;
}

/** What a publisher knows of its own settings and of the broker's that decide whether an acknowledged record is safe. */
export interface PublisherInspection {
  /** Replicas that must have a record before it counts as stored; −1 = all in sync. */
  readonly acks: number;
  /** How long after `publish` was called the client itself may still be sending that request, milliseconds: its own retries count. */
  readonly givesUpAfterMs: number;
  /** Whether the broker makes topics that somebody asks for. Left out where that could not be seen, or means nothing. */
  readonly createsTopics?: boolean;
  /** In the order in which they were asked for. */
  readonly topics: readonly TopicInspection[];
  /** What could not be seen, and why: a right to look at settings is often not granted. */
  readonly unchecked: readonly { readonly what: string; readonly reason: string }[];
}

/** Places of a partition's log. */
export interface PartitionBounds {
  /** The oldest offset there is. */
  readonly low: bigint;
  /** Where the next record will be. */
  readonly high: bigint;
}

/**
 * What switching a topic to more partitions needs of a broker (P-R12). All reject with `TOPIC_MISSING`, `TOPIC_NOT_AUTHORIZED` or
 * `BROKER_UNAVAILABLE`.
 */
export interface TopicAdmin {
  /** Gives the topic so many partitions in all; the broker may need a moment until `describeTopic` says so. */
  createPartitions(topic: string, partitions: number): Promise<void>;
  /** Where each partition of the topic begins and ends. */
  boundsOf(topic: string): Promise<ReadonlyMap<number, PartitionBounds>>;
  /** Offsets that a consumer group has stored for the topic, by partition; where it stored none, nothing. */
  storedOffsets(group: string, topic: string): Promise<ReadonlyMap<number, bigint>>;
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
  /** Opens connections. Rejects with `BROKER_UNAVAILABLE` when no broker answers; may be called again afterwards. */
  connect(): Promise<void>;
  /** Rejects with `TOPIC_MISSING`, `TOPIC_NOT_AUTHORIZED` or `BROKER_UNAVAILABLE`. Asks the broker each time. */
  describeTopic(topic: string): Promise<TopicDescription>;
  publish(request: PublishRequest): Promise<PublishReceipt>;
  /**
   * Looks at what makes acknowledged records safe; changes nothing and creates no topic. Rejects with `BROKER_UNAVAILABLE`
   * only; what may not be looked at stands in `unchecked`. A publisher without it is not checked.
   */
  inspect?(topics: readonly string[]): Promise<PublisherInspection>;
  /** For `txbox partitions grow`; a publisher without it cannot do that. */
  readonly topicAdmin?: TopicAdmin;
  /** What an error thrown by `publish` or `describeTopic` means. Total: an unknown error is `transient`. */
  classify(error: unknown): PublishFailureKind;
  /** Closes connections; requests in flight settle first or reject. May be called twice. */
  close(): Promise<void>;
}
