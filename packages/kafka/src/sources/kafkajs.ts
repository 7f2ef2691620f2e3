import { checkOptions, flag, integerWithin, type MessageSource, systemClock } from '@txbox/core/spi';
import { CONNECTION_DEFAULTS, connectionRules, type KafkaConnectionOptions } from '../kafka-options.ts';
import { TopicDirectory } from '../kafkajs-topics.ts';
import type { MemberOptions } from './kafkajs-member-context.ts';
import { KafkajsSubscription } from './kafkajs-subscription.ts';

/** What {@link kafkajsSource} takes. */
export interface KafkajsSourceOptions extends KafkaConnectionOptions {
  /**
   * After this long without a sign of life a member's partitions go to others, milliseconds. It is also how long a
   * rebalance waits for a member's batches at work. Within the brokers' `group.min.session.timeout.ms` (6,000) and
   * `group.max.session.timeout.ms` (1,800,000). Default 30,000.
   */
  readonly sessionTimeoutMs?: number;
  /** How long a broker holds a fetch that finds nothing, milliseconds. Records do not wait for it; shorter costs idle processes more. Default 200. */
  readonly maxWaitMs?: number;
  /**
   * Bytes fetched at once for a partition, and held for it before fetching pauses; together not quite twice as many. A
   * producer's batch that is larger still comes whole. Default 1,048,576.
   */
  readonly maxLaneBytes?: number;
  /** Whether to repair a timer of kafkajs 2.2.4 that keeps idle processes busy (for the whole process). Default `true`. */
  readonly patchIdleTimer?: boolean;
}

/**
 * A message source that reads Kafka by the client kafkajs, as a member of a consumer group. Every subscription has a
 * client of its own and is rebuilt when the client gives up; it ends only when it is stopped.
 *
 * Members of one group must all be of this source: it shares partitions by an assigner of its own. A member that is
 * stopped while it waits to join the group for the first time keeps its place until its session is over.
 *
 * Throws `OPTIONS_INVALID`. Needs the package `kafkajs` (`DEPENDENCY_MISSING` at the first call).
 */
export function kafkajsSource(options: KafkajsSourceOptions): MessageSource {
  const resolved = checkOptions<MemberOptions>('kafkajsSource', options, {
    rules: {
      ...connectionRules,
      sessionTimeoutMs: integerWithin(1_000, 1_800_000),
      maxWaitMs: integerWithin(1, 10_000),
      maxLaneBytes: integerWithin(1_024, 104_857_600),
      patchIdleTimer: flag,
    },
    defaults: { ...CONNECTION_DEFAULTS, sessionTimeoutMs: 30_000, maxWaitMs: 200, maxLaneBytes: 1_048_576, patchIdleTimer: true },
    optional: ['sasl'],
    secret: ['sasl', 'ssl'],
  });
  const directory = new TopicDirectory('The source kafkajs', resolved);
  const subscriptions = new Set<KafkajsSubscription>();
  return {
    name: 'kafkajs',
    clusterId: async () => await directory.clusterId(),
    subscribe: async (subscribe) => {
      for (const topic of new Set(subscribe.topics)) await directory.partitionsOf(topic);
      const subscription = new KafkajsSubscription({
        options: resolved,
        subscribe,
        directory,
        clock: systemClock,
        report: (error) => {
          try {
            subscribe.onError?.(error);
          } catch {
            // A listener that throws is not the source's business.
          }
        },
      });
      subscriptions.add(subscription);
      void subscription.done.then(() => subscriptions.delete(subscription));
      return subscription;
    },
    close: async () => {
      await Promise.all([...subscriptions].map(async (subscription) => await subscription.stop()));
      await directory.close();
    },
  };
}
