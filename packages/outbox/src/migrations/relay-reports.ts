import { createTable, type Migration } from '@txbox/core/spi';

/** What running relays say of themselves, for those who look from outside. */
export const relayReports: Migration = {
  version: 2,
  name: 'reports of running relays',
  minCodeVersion: 1,
  statements: (dialect, tables) =>
    createTable(dialect, tables.relayReport, {
      columns: ['id BINARY(16) NOT NULL', 'reported_at DATETIME(6) NOT NULL', 'report LONGTEXT NOT NULL'],
      primaryKey: 'id',
    }),
};
