import { type Database, tableNames } from '@txbox/core/spi';
import type { OutboxInspector, OutboxParker, OutboxReader, OutboxSettler, TopicPins, TopicSwitcher } from '../outbox-store.ts';
import { SqlOutboxInspector } from './outbox-inspector.ts';
import { SqlOutboxParker } from './outbox-parker.ts';
import { SqlOutboxReader } from './outbox-reader.ts';
import { SqlOutboxSettler } from './outbox-settler.ts';
import { SqlTopicPins } from './topic-pins.ts';

/** What a relay and its tools do with the outbox tables of a database. */
export type OutboxStore = OutboxReader & OutboxSettler & OutboxParker & TopicPins & TopicSwitcher & OutboxInspector;

/** How an outbox is used. */
export interface OutboxStoreOptions {
  readonly tablePrefix?: string;
  /** Whether settling keeps the rows in the archive instead of deleting them for good. Default false. */
  readonly archive?: boolean;
}

/** The outbox of a MySQL, MariaDB or SQLite database. Each call uses a session of its own for its length; closing is the database's business. */
export function outboxStore(database: Database, options: OutboxStoreOptions = {}): OutboxStore {
  const tables = tableNames(options.tablePrefix);
  const reader = new SqlOutboxReader(database, tables);
  const settler = new SqlOutboxSettler(database, tables, options.archive ?? false);
  const parker = new SqlOutboxParker(database, tables);
  const pins = new SqlTopicPins(database, tables);
  const inspector = new SqlOutboxInspector(database, tables.outbox);
  return {
    readPages: (requests) => reader.readPages(requests),
    loadPayloads: (rows) => reader.loadPayloads(rows),
    highestPosition: () => reader.highestPosition(),
    dirtyPositions: (requests) => reader.dirtyPositions(requests),
    settle: (rows, form) => settler.settle(rows, form),
    park: (row, failure) => parker.park(row, failure),
    skip: (row, failure) => parker.skip(row, failure),
    moveFollowers: (rows) => parker.moveFollowers(rows),
    pin: (topic, partitions) => pins.pin(topic, partitions),
    pins: () => pins.pins(),
    changePin: (known, next, note) => pins.changePin(known, next, note),
    databaseTime: () => pins.databaseTime(),
    backlog: () => inspector.backlog(),
    shardBacklogs: (requests) => inspector.shardBacklogs(requests),
    isSettledUpTo: (position) => inspector.isSettledUpTo(position),
  };
}
