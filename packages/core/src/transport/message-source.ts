import type { Delivery } from './delivery.ts';

/** A run of messages of one lane, in order. Never empty. */
export interface DeliveryBatch {
  readonly topic: string;
  readonly partition: number;
  readonly deliveries: readonly Delivery[];
  /**
   * Aborted as soon as the source knows that the lane is no longer assigned to this consumer, or that it is being
   * stopped. Work that has not begun must not begin; what runs may finish.
   */
  readonly signal: AbortSignal;
  /** Tells the broker that the consumer is alive; cheap, rate-limited by the source. Rejects with `ASSIGNMENT_LOST`. */
  heartbeat(): Promise<void>;
  /**
   * Stores "everything of this lane up to and including `offset` is done". Call it only after the effects are
   * committed. Never stores anything for a lost assignment: then it rejects with `ASSIGNMENT_LOST` (P-I1).
   */
  checkpoint(offset: bigint): Promise<void>;
}

/** What a subscription wants and whom it tells. */
export interface SubscribeOptions {
  /** Consumer group; lanes are shared among the members of a group, checkpoints belong to it. */
  readonly group: string;
  readonly topics: readonly string[];
  /** Most messages in one batch. */
  readonly batchSize: number;
  /**
   * Called for one batch of a lane at a time, in order; different lanes may run concurrently. When it resolves,
   * deliveries after the last checkpoint are delivered again (a prefix may be done); when it rejects too.
   */
  onBatch(batch: DeliveryBatch): Promise<void>;
  /** Something failed that the source recovers from by itself (broker away, rebalance). Never throws. */
  onError?(error: unknown): void;
}

/** A running subscription. */
export interface Subscription {
  /** Rejects if the source gives up for good; resolves after `stop`. */
  readonly done: Promise<void>;
  /** Messages known to be in the assigned lanes and not check-pointed, or `undefined` while unknown. */
  lag(): Promise<bigint | undefined>;
  /** Aborts the batches' signals, waits for `onBatch` calls in flight, stores what they check-pointed, leaves the group. May be called twice. */
  stop(): Promise<void>;
}

/**
 * Delivers messages of topics to a consumer group, at least once, each lane in order.
 *
 * An implementation guarantees: no message of an assigned lane is skipped; after a crash or a rebalance delivery goes
 * on after the last checkpoint; a new group begins at the earliest message. It is the caller's job to apply each
 * message once and to check-point after COMMIT.
 */
export interface MessageSource {
  /** For logs and status: `kafkajs`, `embedded`, … */
  readonly name: string;
  /** Identifies the broker's log, stable across restarts: part of the ids of foreign messages (P-I8). */
  clusterId(): Promise<string>;
  /** Rejects with `TOPIC_MISSING`, `TOPIC_NOT_AUTHORIZED` or `BROKER_UNAVAILABLE` when it cannot begin. */
  subscribe(options: SubscribeOptions): Promise<Subscription>;
  /** Stops every subscription and closes connections. May be called twice. */
  close(): Promise<void>;
}
