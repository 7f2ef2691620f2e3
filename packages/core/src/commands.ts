import { DATABASE_SECTION } from './commands/database-section.ts';
import { migrateCommand } from './commands/migrate.ts';
import { coreComponent } from './migrations/core-component.ts';
import type { Command } from './runtime/command.ts';
import { type ConfigSection, configSection } from './runtime/config-section.ts';
import type { MigrationComponent } from './sql/migration.ts';

/** Commands of the core. */
export const commands: readonly Command[] = [migrateCommand];

/** Sections of the configuration that the core declares. */
export const sections: readonly ConfigSection[] = [configSection('database', DATABASE_SECTION)];

/** For `txbox migrate`. */
export const components: readonly MigrationComponent[] = [coreComponent];
