import type { MigrationComponent } from '../sql/migration.ts';
import { sharedTables } from './shared-tables.ts';

/** The tables that every installation has. */
export const coreComponent: MigrationComponent = { name: 'core', side: 'shared', migrations: [sharedTables], requires: 1 };
