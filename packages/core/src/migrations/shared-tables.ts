import { createTable } from '../sql/create-table.ts';
import type { Migration } from '../sql/migration.ts';

/** The tables that services and consumers share: versions, leases, parked keys, dead letters, audit. */
export const sharedTables: Migration = {
  version: 1,
  name: 'versions, leases, parked keys, dead letters, audit',
  minCodeVersion: 1,
  statements: (dialect, tables) => [
    ...createTable(dialect, tables.meta, {
      columns: ['component VARCHAR(64) NOT NULL', 'version INT NOT NULL', 'min_code_version INT NOT NULL', 'settings TEXT NULL'],
      primaryKey: 'component',
    }),
    ...createTable(dialect, tables.lease, {
      columns: [
        'scope VARCHAR(128) NOT NULL',
        'slot INT NOT NULL',
        'owner BINARY(16) NULL',
        'epoch BIGINT NOT NULL',
        'expires_at DATETIME(6) NULL',
        'wanted_by BINARY(16) NULL',
      ],
      primaryKey: 'scope, slot',
    }),
    ...createTable(dialect, tables.parkedKey, {
      columns: [
        'scope VARCHAR(128) NOT NULL',
        'id BINARY(16) NOT NULL',
        'topic VARCHAR(249) NOT NULL',
        'message_key VARBINARY(255) NULL',
        'state VARCHAR(16) NOT NULL',
        'due_at DATETIME(6) NULL',
        'attempts INT NOT NULL',
        'reason TEXT NULL',
        'since DATETIME(6) NOT NULL',
        'epoch BIGINT NOT NULL',
      ],
      primaryKey: 'scope, id',
      indexes: { by_key: 'scope, topic, message_key', by_due: 'scope, state, due_at' },
    }),
    ...createTable(dialect, tables.deadLetter, {
      columns: [
        'scope VARCHAR(128) NOT NULL',
        'place SERIAL',
        'parked_key_id BINARY(16) NOT NULL',
        'message_id BINARY(16) NOT NULL',
        'topic VARCHAR(249) NOT NULL',
        'message_key VARBINARY(255) NULL',
        'type VARCHAR(255) NULL',
        'aggregate_type VARCHAR(255) NULL',
        'aggregate_id VARCHAR(255) NULL',
        'sequence BIGINT NULL',
        'headers LONGBLOB NOT NULL',
        'payload LONGBLOB NULL',
        'bytes INT NOT NULL',
        'original_partition INT NULL',
        'original_position BIGINT NULL',
        'original_published_at DATETIME(6) NULL',
        'attempts INT NOT NULL',
        'reason TEXT NULL',
        'created_at DATETIME(6) NOT NULL',
      ],
      serial: { column: 'place' },
      unique: ['scope, message_id'],
      indexes: { by_key: 'scope, parked_key_id, place', by_time: 'scope, created_at' },
    }),
    ...createTable(dialect, tables.audit, {
      columns: [
        'id SERIAL',
        'scope VARCHAR(128) NOT NULL',
        'action VARCHAR(64) NOT NULL',
        'actor VARCHAR(255) NOT NULL',
        'message_id BINARY(16) NULL',
        'details TEXT NULL',
        'created_at DATETIME(6) NOT NULL',
      ],
      serial: { column: 'id' },
      indexes: { by_time: 'scope, created_at' },
    }),
  ],
};
