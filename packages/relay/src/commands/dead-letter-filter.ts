import { type CommandContext, type CommandOption, type DeadLetterFilter, TxboxError } from '@txbox/core/spi';
import { RELAY_SCOPE } from '@txbox/outbox/store';
import { GivenOptions, given, MESSAGE_OPTIONS } from './given-options.ts';

/** The options that say which dead letters are meant. */
export const FILTER_OPTIONS: Readonly<Record<string, CommandOption>> = {
  ...MESSAGE_OPTIONS,
  reason: { type: 'string', description: 'text that the reason contains, an error code for example' },
  since: { type: 'string', description: 'parked at or after: an instant like 2026-11-25T10:00:00Z, or an age like 90s, 30m, 2h, 7d' },
  until: { type: 'string', description: 'parked before: an instant or an age' },
};

/** Which dead letters the options mean; what is wrong with them is gathered. */
export function filterFrom(options: GivenOptions): DeadLetterFilter {
  options.oneOf('of', RELAY_SCOPE);
  return {
    ...options.messages(),
    ...given({ reason: options.text('reason') }),
    ...options.interval('since', 'until'),
  };
}

/** The same, alone. Throws `OPTIONS_INVALID` with all problems. `now`: milliseconds since 1970. */
export function filterOf(context: Pick<CommandContext, 'options'>, now: number): DeadLetterFilter {
  const options = new GivenOptions(context, now);
  const filter = filterFrom(options);
  options.refuse();
  return filter;
}

/** The same for a command that changes something: all of them are meant only when that is said. */
export function deliberateFilterOf(context: Pick<CommandContext, 'options'>, now: number): DeadLetterFilter {
  const filter = filterOf(context, now);
  if (Object.keys(filter).length > 0 || context.options['all'] === true) return filter;
  const names = Object.keys(FILTER_OPTIONS).map((name) => `--${name}`);
  throw new TxboxError('OPTIONS_INVALID', `Say which dead letters are meant, by ${names.join(', ')}, or --all.`);
}
