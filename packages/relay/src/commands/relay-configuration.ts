import { type CommandContext, checkOptions, databaseSection, TxboxError } from '@txbox/core/spi';
import { type HttpOptions, resolveHttpOptions } from '../http/http-options.ts';
import { RELAY_OPTION_RULES, type RelayOptions, type RelaySettings } from '../relay-options.ts';

/** What is wrong with the sections `relay` and `http` of a configuration. */
export function relayConfigProblems(config: unknown): readonly string[] {
  return [...problemsOf('relay', () => settingsOf(config)), ...problemsOf('http', () => httpOptionsOf(config))];
}

function problemsOf(section: string, check: () => unknown): readonly string[] {
  try {
    check();
    return [];
  } catch (error) {
    const { problems } = (error as TxboxError).details;
    return Array.isArray(problems) ? problems.map((problem) => `${section}: ${String(problem)}`) : [(error as TxboxError).message];
  }
}

/** Where the relay is to be watched; `false` = nowhere. `chosen`: the configuration says so itself. Throws `CONFIG_INVALID`. */
export function httpOptionsOf(config: unknown): { readonly options: Required<HttpOptions> | false; readonly chosen: boolean } {
  const { http } = config as { http?: unknown };
  if (http === false) return { options: false, chosen: true };
  return { options: resolveHttpOptions('Configuration, section http', http ?? {}, 'CONFIG_INVALID'), chosen: http !== undefined };
}

/** The options of a relay, from the configuration. Throws `CONFIG_INVALID`. */
export async function relayOptionsOf(context: CommandContext): Promise<RelayOptions> {
  const database = databaseSection(context.config, 'database');
  if (!database) {
    throw new TxboxError(
      'CONFIG_INVALID',
      'Configuration: the relay needs database.url, the database of the service whose outbox it publishes.',
    );
  }
  const settings = settingsOf(context.config);
  return {
    ...settings,
    database: { url: database.url },
    ...(database.tablePrefix === undefined ? {} : { tablePrefix: database.tablePrefix }),
    publisher: await context.publisher(),
    logger: context.logger,
  };
}

/** An option of a command that is a number of milliseconds. Throws `OPTIONS_INVALID`. */
export function millisecondsOption({ options }: CommandContext, name: string): number {
  const value = Number(options[name]);
  if (Number.isInteger(value) && value >= 0) return value;
  throw new TxboxError('OPTIONS_INVALID', `--${name} must be a whole number of milliseconds, got ${JSON.stringify(options[name])}.`);
}

function settingsOf(config: unknown): Readonly<RelaySettings> {
  return checkOptions<RelaySettings>('Configuration, section relay', (config as { relay?: unknown }).relay ?? {}, {
    code: 'CONFIG_INVALID',
    rules: RELAY_OPTION_RULES,
    optional: Object.keys(RELAY_OPTION_RULES) as (keyof RelaySettings)[],
  });
}
