import { createTable, type Migration } from '@txbox/core/spi';
import { SHARDS } from '../outbox-store.ts';

/** The tables of a service's database: pending rows, relays, sequences, idempotency keys, topics, archive. */
export const outboxTables: Migration = {
  version: 1,
  name: 'outbox, relays, sequences, idempotency keys, topics, archive',
  minCodeVersion: 1,
  statements: (dialect, tables) => [
    // P-T2: the shard leads the clustered key. P-T5: never a JSON column.
    ...createTable(dialect, tables.outbox, {
      columns: [
        'shard SMALLINT NOT NULL',
        'position SERIAL',
        'id BINARY(16) NOT NULL',
        'topic VARCHAR(249) NOT NULL',
        'message_key VARBINARY(255) NULL',
        'aggregate_type VARCHAR(255) NULL',
        'aggregate_id VARCHAR(255) NULL',
        'type VARCHAR(255) NOT NULL',
        'sequence BIGINT NULL',
        'headers BLOB NOT NULL',
        'payload LONGBLOB NOT NULL',
        'bytes INT NOT NULL',
        'created_at DATETIME(6) NOT NULL',
      ],
      serial: { column: 'position', after: 'shard' },
    }),
    ...createTable(dialect, tables.relay, {
      columns: [
        'id BINARY(16) NOT NULL',
        'started_at DATETIME(6) NOT NULL',
        'seen_at DATETIME(6) NOT NULL',
        'wake_host VARCHAR(255) NULL',
        'wake_port INT NULL',
        'version VARCHAR(64) NOT NULL',
      ],
      primaryKey: 'id',
    }),
    ...createTable(dialect, tables.sequence, {
      columns: ['topic VARCHAR(249) NOT NULL', 'message_key VARBINARY(255) NOT NULL', 'value BIGINT NOT NULL'],
      primaryKey: 'topic, message_key',
    }),
    ...createTable(dialect, tables.idempotency, {
      columns: [
        '`key` VARBINARY(255) NOT NULL',
        'fingerprint BINARY(32) NOT NULL',
        'result LONGBLOB NULL',
        'message_ids LONGBLOB NULL',
        'created_at DATETIME(6) NOT NULL',
      ],
      primaryKey: '`key`',
      indexes: { by_time: 'created_at' },
    }),
    ...createTable(dialect, tables.topic, {
      columns: ['topic VARCHAR(249) NOT NULL', 'partitions INT NOT NULL', 'generation INT NOT NULL', 'switch_offsets TEXT NULL'],
      primaryKey: 'topic',
    }),
    ...createTable(dialect, tables.archive, {
      columns: [
        'place SERIAL',
        'id BINARY(16) NOT NULL',
        'topic VARCHAR(249) NOT NULL',
        'message_key VARBINARY(255) NULL',
        'aggregate_type VARCHAR(255) NULL',
        'aggregate_id VARCHAR(255) NULL',
        'type VARCHAR(255) NOT NULL',
        'sequence BIGINT NULL',
        'headers BLOB NOT NULL',
        'payload LONGBLOB NOT NULL',
        'bytes INT NOT NULL',
        'created_at DATETIME(6) NOT NULL',
        'published_at DATETIME(6) NOT NULL',
      ],
      serial: { column: 'place' },
      indexes: { by_time: 'published_at', by_key: 'topic, message_key, place' },
    }),
    `${dialect.insertIgnore} INTO ${tables.meta} (component, version, min_code_version, settings) VALUES ('outbox', 0, 0, '{"shards":${SHARDS}}')`,
  ],
};
