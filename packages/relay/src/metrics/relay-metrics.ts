import type { MetricDefinition } from '@txbox/core/spi';

/** Answers of brokers: from an idle one beside the relay to one that is given up. */
const SEND_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const SETTLE_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const DELAY_SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** The metrics by the name that code uses, with their labels. */
export interface RelayMetrics {
  readonly oldestAge: MetricDefinition<never>;
  readonly shardLag: MetricDefinition<'shard'>;
  readonly pendingEvents: MetricDefinition<'shard'>;
  readonly pendingBytes: MetricDefinition<'shard'>;
  readonly backlogReadAge: MetricDefinition<never>;
  readonly published: MetricDefinition<'topic'>;
  readonly settled: MetricDefinition<never>;
  readonly retried: MetricDefinition<'topic' | 'kind'>;
  readonly holds: MetricDefinition<'topic' | 'kind'>;
  readonly heldLanes: MetricDefinition<'topic'>;
  readonly heldEvents: MetricDefinition<'topic'>;
  readonly parked: MetricDefinition<'topic'>;
  readonly followed: MetricDefinition<'topic'>;
  readonly parkedKeys: MetricDefinition<never>;
  readonly deadLetters: MetricDefinition<never>;
  readonly orderAlarms: MetricDefinition<never>;
  readonly shards: MetricDefinition<never>;
  readonly shardChanges: MetricDefinition<'change'>;
  readonly cleaned: MetricDefinition<'what'>;
  readonly failures: MetricDefinition<'loop'>;
  readonly sendDuration: MetricDefinition<'outcome'>;
  readonly settleDuration: MetricDefinition<never>;
  readonly eventLoopDelay: MetricDefinition<never>;
  readonly eventLoopBlocks: MetricDefinition<never>;
  readonly memoryEvents: MetricDefinition<never>;
  readonly memoryBytes: MetricDefinition<never>;
  readonly ready: MetricDefinition<never>;
  readonly residentMemory: MetricDefinition<never>;
  readonly cpuSeconds: MetricDefinition<never>;
  readonly startTime: MetricDefinition<never>;
}

/** Every metric of a relay. Listed for operators in docs/operations/watching.md; a test compares both. */
export const RELAY_METRICS: RelayMetrics = {
  oldestAge: {
    name: 'txbox_relay_oldest_unsent_event_age_seconds',
    kind: 'gauge',
    help: 'Age of the oldest event that is not published and settled, of the shards that this relay holds; 0 when there is none.',
    labels: [],
  },
  shardLag: {
    name: 'txbox_relay_shard_lag_seconds',
    kind: 'gauge',
    help: 'The same for each shard that this relay holds.',
    labels: ['shard'],
  },
  pendingEvents: {
    name: 'txbox_relay_pending_events',
    kind: 'gauge',
    help: 'Events that are not published and settled, by shard; above 2,000 an estimate.',
    labels: ['shard'],
  },
  pendingBytes: {
    name: 'txbox_relay_pending_bytes',
    kind: 'gauge',
    help: 'Bytes of their keys, headers and payloads.',
    labels: ['shard'],
  },
  backlogReadAge: {
    name: 'txbox_relay_backlog_read_age_seconds',
    kind: 'gauge',
    help: 'How long ago the database last said what waits; NaN before it has.',
    labels: [],
  },
  published: {
    name: 'txbox_relay_published_events_total',
    kind: 'counter',
    help: 'Events that the broker acknowledged, repetitions included.',
    labels: ['topic'],
  },
  settled: {
    name: 'txbox_relay_settled_events_total',
    kind: 'counter',
    help: 'Published events that were removed from the outbox.',
    labels: [],
  },
  retried: {
    name: 'txbox_relay_retried_events_total',
    kind: 'counter',
    help: 'Events of requests that failed or whose outcome is unknown, by the kind of failure.',
    labels: ['topic', 'kind'],
  },
  holds: {
    name: 'txbox_relay_holds_total',
    kind: 'counter',
    help: 'How often a lane or topic was held, by the kind of failure; every further attempt counts.',
    labels: ['topic', 'kind'],
  },
  heldLanes: {
    name: 'txbox_relay_held_lanes',
    kind: 'gauge',
    help: 'Lanes that are held now; a topic that is held as a whole counts once.',
    labels: ['topic'],
  },
  heldEvents: {
    name: 'txbox_relay_held_events',
    kind: 'gauge',
    help: 'Events in memory that wait in held lanes; more may wait in the database.',
    labels: ['topic'],
  },
  parked: {
    name: 'txbox_relay_parked_events_total',
    kind: 'counter',
    help: 'Events that became dead letters because the broker refused them.',
    labels: ['topic'],
  },
  followed: {
    name: 'txbox_relay_followed_events_total',
    kind: 'counter',
    help: 'Events that were moved behind the dead letters of their key.',
    labels: ['topic'],
  },
  parkedKeys: {
    name: 'txbox_relay_parked_keys',
    kind: 'gauge',
    help: 'Keys of the outbox that are parked now; the same in every relay.',
    labels: [],
  },
  deadLetters: {
    name: 'txbox_relay_dead_letters',
    kind: 'gauge',
    help: 'Dead letters of the outbox now; the same in every relay.',
    labels: [],
  },
  orderAlarms: {
    name: 'txbox_relay_order_alarms_total',
    kind: 'counter',
    help: 'Events that appeared below the low mark: later ones of their key may have overtaken them.',
    labels: [],
  },
  shards: {
    name: 'txbox_relay_shards',
    kind: 'gauge',
    help: 'Shards that this relay holds; 16 over all relays of an outbox.',
    labels: [],
  },
  shardChanges: {
    name: 'txbox_relay_shard_changes_total',
    kind: 'counter',
    help: 'Changes of leases: acquired, handed-over, lost, stopped.',
    labels: ['change'],
  },
  cleaned: {
    name: 'txbox_relay_cleaned_messages_total',
    kind: 'counter',
    help: 'Messages that were forgotten after the configured retention: archive, dead-letters.',
    labels: ['what'],
  },
  failures: {
    name: 'txbox_relay_failures_total',
    kind: 'counter',
    help: 'Passes of a loop that failed and were tried again: read, settle, lease, park, maintenance.',
    labels: ['loop'],
  },
  sendDuration: {
    name: 'txbox_relay_send_duration_seconds',
    kind: 'histogram',
    help: 'From a request to the broker until its answer, by outcome: acknowledged, failed.',
    labels: ['outcome'],
    buckets: SEND_SECONDS,
  },
  settleDuration: {
    name: 'txbox_relay_settle_duration_seconds',
    kind: 'histogram',
    help: 'Of a statement that removes published events.',
    labels: [],
    buckets: SETTLE_SECONDS,
  },
  eventLoopDelay: {
    name: 'txbox_relay_event_loop_delay_seconds',
    kind: 'histogram',
    help: 'By how much the event loop was late, looked at ten times a second.',
    labels: [],
    buckets: DELAY_SECONDS,
  },
  eventLoopBlocks: {
    name: 'txbox_relay_event_loop_blocks_total',
    kind: 'counter',
    help: 'How often the event loop did not turn for a second, or for a third of leaseTtlMs.',
    labels: [],
  },
  memoryEvents: {
    name: 'txbox_relay_memory_events',
    kind: 'gauge',
    help: 'Events in memory.',
    labels: [],
  },
  memoryBytes: {
    name: 'txbox_relay_memory_bytes',
    kind: 'gauge',
    help: 'About the bytes of the events in memory.',
    labels: [],
  },
  ready: {
    name: 'txbox_relay_ready',
    kind: 'gauge',
    help: '1 when /health/ready says so.',
    labels: [],
  },
  residentMemory: {
    name: 'process_resident_memory_bytes',
    kind: 'gauge',
    help: 'Resident memory of the process.',
    labels: [],
  },
  cpuSeconds: {
    name: 'process_cpu_seconds_total',
    kind: 'counter',
    help: 'User and system CPU time of the process.',
    labels: [],
  },
  startTime: {
    name: 'process_start_time_seconds',
    kind: 'gauge',
    help: 'When the process started, seconds since 1970.',
    labels: [],
  },
};
