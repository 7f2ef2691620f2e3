import type { MigrationComponent } from '@txbox/core/spi';
import { inboxTables } from './inbox-tables.ts';

/** The tables of a consumer's database, beside the shared ones of `coreComponent`. */
export const inboxComponent: MigrationComponent = { name: 'inbox', side: 'consumer', migrations: [inboxTables], requires: 1 };
