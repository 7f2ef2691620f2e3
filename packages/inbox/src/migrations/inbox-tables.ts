import { createTable, type Migration } from '@txbox/core/spi';

/** The tables of a consumer's database: what was processed, attempts, sequence numbers, business keys. */
export const inboxTables: Migration = {
  version: 1,
  name: 'inbox, attempts, sequence numbers, business keys',
  minCodeVersion: 1,
  statements: (dialect, tables) => [
    ...createTable(dialect, tables.inbox, {
      columns: ['consumer VARBINARY(64) NOT NULL', 'message_id BINARY(16) NOT NULL', 'processed_at DATETIME(6) NOT NULL'],
      primaryKey: 'consumer, message_id',
    }),
    ...createTable(dialect, tables.inboxAttempt, {
      columns: [
        'consumer VARBINARY(64) NOT NULL',
        'message_id BINARY(16) NOT NULL',
        'failures INT NOT NULL DEFAULT 0',
        'crashes INT NOT NULL DEFAULT 0',
      ],
      primaryKey: 'consumer, message_id',
    }),
    ...createTable(dialect, tables.inboxSequence, {
      columns: [
        'consumer VARBINARY(64) NOT NULL',
        'topic VARCHAR(249) NOT NULL',
        'message_key VARBINARY(255) NOT NULL',
        'value BIGINT NOT NULL',
      ],
      primaryKey: 'consumer, topic, message_key',
    }),
    ...createTable(dialect, tables.inboxBusinessKey, {
      columns: [
        'consumer VARBINARY(64) NOT NULL',
        'business_key VARBINARY(255) NOT NULL',
        'message_id BINARY(16) NOT NULL',
        'processed_at DATETIME(6) NOT NULL',
      ],
      primaryKey: 'consumer, business_key',
    }),
  ],
};
