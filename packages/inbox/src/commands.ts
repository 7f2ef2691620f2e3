import type { Command, MigrationComponent } from '@txbox/core/spi';
import { inboxComponent } from './migrations/inbox-component.ts';

/** The inbox adds no commands. */
export const commands: readonly Command[] = [];

/** For `txbox migrate`. */
export const components: readonly MigrationComponent[] = [inboxComponent];
