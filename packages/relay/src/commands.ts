import type { Command, MigrationComponent } from '@txbox/core/spi';
import { relayStartCommand } from './commands/relay-start.ts';
import { relayStatusCommand } from './commands/relay-status.ts';

/** `txbox relay …`. */
export const commands: readonly Command[] = [relayStartCommand, relayStatusCommand];

/** The relay's tables belong to core and outbox. */
export const components: readonly MigrationComponent[] = [];
