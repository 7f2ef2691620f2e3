import type { Command, MigrationComponent } from '@txbox/core/spi';
import { outboxComponent } from './migrations/outbox-component.ts';

/** The outbox adds no commands. */
export const commands: readonly Command[] = [];

/** For `txbox migrate`. */
export const components: readonly MigrationComponent[] = [outboxComponent];
