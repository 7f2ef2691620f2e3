export { CompactHeads } from './compact-heads.ts';
export { outboxComponent } from './migrations/outbox-component.ts';
export type { ArchivedMessage, ArchivedTopic, ArchiveFilter, ArchiveSpan, OutboxArchive } from './outbox-archive.ts';
export { type ResolvedOutboxOptions, resolveOutboxOptions } from './outbox-options.ts';
export {
  type OutboxBacklog,
  type OutboxInspector,
  type OutboxParker,
  type OutboxReader,
  type OutboxSettler,
  type OutboxWriter,
  type Page,
  type PageHead,
  type PageRequest,
  type ParkingFailure,
  type PendingRow,
  type PinNote,
  RELAY_SCOPE,
  type RowHead,
  SHARD_SCOPE,
  SHARDS,
  type ShardBacklog,
  type TopicPin,
  type TopicPins,
  type TopicSwitch,
  type TopicSwitcher,
} from './outbox-store.ts';
export { archiveRedriven } from './sql/archive-redriven.ts';
export { outboxArchive } from './sql/outbox-archive.ts';
export { type OutboxStore, type OutboxStoreOptions, outboxStore } from './sql/outbox-store.ts';
export { outboxWriter, shardOf } from './sql/outbox-writer.ts';
