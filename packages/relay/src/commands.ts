import { type Command, type ConfigSection, configSection, type MigrationComponent } from '@txbox/core/spi';
import { deadLettersListCommand } from './commands/dead-letters-list.ts';
import { deadLettersRedriveCommand } from './commands/dead-letters-redrive.ts';
import { deadLettersShowCommand } from './commands/dead-letters-show.ts';
import { deadLettersDiscardCommand, deadLettersSkipCommand } from './commands/dead-letters-take-out.ts';
import { partitionsGrowCommand, partitionsListCommand } from './commands/partitions.ts';
import { SIDECAR_SECTION } from './commands/relay-configuration.ts';
import { relayDoctorCommand } from './commands/relay-doctor.ts';
import { relayStartCommand } from './commands/relay-start.ts';
import { relayStatusCommand } from './commands/relay-status.ts';
import { replayCommand } from './commands/replay.ts';
import { HTTP_SECTION } from './http/http-options.ts';
import { RELAY_SECTION } from './relay-options.ts';

/** `txbox relay …`, `txbox dead-letters …`, `txbox replay`, `txbox partitions …`. */
export const commands: readonly Command[] = [
  relayStartCommand,
  relayStatusCommand,
  relayDoctorCommand,
  deadLettersListCommand,
  deadLettersShowCommand,
  deadLettersRedriveCommand,
  deadLettersDiscardCommand,
  deadLettersSkipCommand,
  replayCommand,
  partitionsListCommand,
  partitionsGrowCommand,
];

/** What `txbox --help` says of the words before the last. */
export const groups: Readonly<Record<string, string>> = {
  'dead-letters': 'Messages that were given up: see them, publish them after all, or let their keys go on without them.',
  partitions: 'Over how many partitions the keys of a topic are spread, and how to give it more.',
  relay: 'Publishes the outbox: start a relay, see what waits and who publishes it, or look at whether a relay may start here.',
};

/** Sections of the configuration: rules, defaults and what holds between options, declared once. */
export const sections: readonly ConfigSection[] = [
  configSection('relay', RELAY_SECTION),
  configSection('sidecar', SIDECAR_SECTION),
  configSection('http', HTTP_SECTION, true),
];

/** The relay's tables belong to core and outbox. */
export const components: readonly MigrationComponent[] = [];
