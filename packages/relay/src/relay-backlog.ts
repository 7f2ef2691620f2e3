import type { ParkedCount } from '@txbox/core/spi';
import type { ShardBacklog } from '@txbox/outbox/store';

/** What waits, as the database says. */
export interface RelayBacklog {
  /** Events that are not published and settled yet, in the shards that this relay holds. */
  readonly shards: readonly ShardBacklog[];
  /** Parked keys and dead letters of the whole outbox. */
  readonly parked: ParkedCount;
}
