import { type CommandContext, checkOptions, databaseSection, integerWithin, type OptionChecks, TxboxError } from '@txbox/core/spi';
import { HTTP_SECTION, type HttpOptions } from '../http/http-options.ts';
import { DEFAULT_GRACE_MS, DEFAULT_LEASE_TTL_MS, RELAY_SECTION, type RelayOptions, type RelaySettings } from '../relay-options.ts';

/** How the process of a relay starts and ends; the section `sidecar` of a configuration. */
export interface SidecarOptions {
  /** How long a stop waits for acknowledgements, milliseconds. Default 10,000. */
  readonly graceMs?: number;
  /** How long a start waits for a database or broker that is away, milliseconds. Default 60,000. */
  readonly startTimeoutMs?: number;
}

/** The section `sidecar`. */
export const SIDECAR_SECTION: OptionChecks<Required<SidecarOptions>> = {
  rules: { graceMs: integerWithin(0), startTimeoutMs: integerWithin(0) },
  defaults: { graceMs: DEFAULT_GRACE_MS, startTimeoutMs: 60_000 },
};

/** Where the relay is to be watched; `false` = nowhere. `chosen`: the configuration says so itself. Throws `CONFIG_INVALID`. */
export function httpOptionsOf(context: Pick<CommandContext, 'config'>): {
  readonly options: Required<HttpOptions> | false;
  readonly chosen: boolean;
} {
  const { http } = context.config as { http?: unknown };
  if (http === false) return { options: false, chosen: true };
  return { options: sectionOf(context, 'http', HTTP_SECTION), chosen: http !== undefined };
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
  return {
    ...sectionOf<RelaySettings>(context, 'relay', RELAY_SECTION),
    database: { url: database.url },
    ...(database.tablePrefix === undefined ? {} : { tablePrefix: database.tablePrefix }),
    publisher: await context.publisher(),
    logger: context.logger,
  };
}

/** The section `sidecar` with its defaults. Throws `CONFIG_INVALID`. */
export function sidecarOptionsOf(context: Pick<CommandContext, 'config'>): Readonly<Required<SidecarOptions>> {
  return sectionOf(context, 'sidecar', SIDECAR_SECTION);
}

function sectionOf<T extends object>({ config }: Pick<CommandContext, 'config'>, name: string, checks: OptionChecks<T>): Readonly<T> {
  const given = (config as Readonly<Record<string, unknown>>)[name] ?? {};
  return checkOptions<T>(`Configuration, section ${name}`, given, { ...checks, code: 'CONFIG_INVALID' });
}

/** For how long the relays of this configuration hold a lease, milliseconds. */
export function leaseTtlMsOf({ config }: Pick<CommandContext, 'config'>): number {
  const ttlMs = (config as { relay?: { leaseTtlMs?: unknown } }).relay?.leaseTtlMs;
  return typeof ttlMs === 'number' ? ttlMs : DEFAULT_LEASE_TTL_MS;
}
