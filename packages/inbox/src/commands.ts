import { type Command, type ConfigSection, configSection, DATABASE_SECTION, type MigrationComponent, objectOf } from '@txbox/core/spi';
import { inboxComponent } from './migrations/inbox-component.ts';

/** The inbox adds no commands. */
export const commands: readonly Command[] = [];

/** A consumer's database, for `txbox migrate`. */
export const sections: readonly ConfigSection[] = [
  configSection<{ database: object }>('inbox', { rules: { database: objectOf('{ url, tablePrefix? }', DATABASE_SECTION) } }),
];

/** For `txbox migrate`. */
export const components: readonly MigrationComponent[] = [inboxComponent];
