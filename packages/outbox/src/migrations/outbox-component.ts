import type { MigrationComponent } from '@txbox/core/spi';
import { outboxTables } from './outbox-tables.ts';
import { relayReports } from './relay-reports.ts';

/** The tables of a service's database, beside the shared ones of `coreComponent`. */
export const outboxComponent: MigrationComponent = {
  name: 'outbox',
  side: 'producer',
  migrations: [outboxTables, relayReports],
  requires: 1,
};
