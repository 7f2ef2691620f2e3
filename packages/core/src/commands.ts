import { migrateCommand } from './commands/migrate.ts';
import { coreComponent } from './migrations/core-component.ts';
import type { Command } from './runtime/command.ts';
import type { MigrationComponent } from './sql/migration.ts';

/** Commands of the core. */
export const commands: readonly Command[] = [migrateCommand];

/** For `txbox migrate`. */
export const components: readonly MigrationComponent[] = [coreComponent];
