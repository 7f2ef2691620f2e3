import { type Command, type ConfigSection, configSection, type MigrationComponent } from '@txbox/core/spi';
import { relayStartCommand } from './commands/relay-start.ts';
import { relayStatusCommand } from './commands/relay-status.ts';
import { RELAY_SECTION } from './relay-options.ts';

/** `txbox relay …`. */
export const commands: readonly Command[] = [relayStartCommand, relayStatusCommand];

/** What `txbox --help` says of the words before the last. */
export const groups: Readonly<Record<string, string>> = {
  relay: 'Publishes the outbox: start a relay, or see what waits and who publishes it.',
};

/** Sections of the configuration: rules, defaults and what holds between options, declared once. */
export const sections: readonly ConfigSection[] = [configSection('relay', RELAY_SECTION)];

/** The relay's tables belong to core and outbox. */
export const components: readonly MigrationComponent[] = [];
