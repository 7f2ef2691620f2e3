import type { Clock, SubscribeOptions } from '@txbox/core/spi';
import type { KafkajsOptions } from '../kafkajs-client.ts';
import type { TopicDirectory } from '../kafkajs-topics.ts';

/** How a member reads; see `KafkajsSourceOptions`. */
export interface MemberOptions extends KafkajsOptions {
  readonly sessionTimeoutMs: number;
  readonly maxWaitMs: number;
  readonly maxLaneBytes: number;
}

/** What a member works with. */
export interface MemberContext {
  readonly options: MemberOptions;
  readonly subscribe: SubscribeOptions;
  readonly directory: TopicDirectory;
  readonly clock: Clock;
  report(error: unknown): void;
}
