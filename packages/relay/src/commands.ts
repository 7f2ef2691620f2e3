import type { Command, MigrationComponent } from '@txbox/core/spi';
import { relayDoctorCommand } from './commands/relay-doctor.ts';
import { relayStartCommand } from './commands/relay-start.ts';
import { relayStatusCommand } from './commands/relay-status.ts';

/** `txbox relay …`. */
export const commands: readonly Command[] = [relayStartCommand, relayStatusCommand, relayDoctorCommand];

/** What `txbox --help` says of the words before the last. */
export const groups: Readonly<Record<string, string>> = {
  relay: 'Publishes the outbox: start a relay, see what waits and who publishes it, or look at whether a relay may start here.',
};

/** The relay's tables belong to core and outbox. */
export const components: readonly MigrationComponent[] = [];
