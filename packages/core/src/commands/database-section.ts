import { TxboxError } from '../runtime/error.ts';
import { checkOptions, type OptionChecks } from '../runtime/options.ts';
import { databaseUrl } from '../sql/open-database.ts';
import { tablePrefix } from '../sql/table-names.ts';

/** A database as the configuration names it. */
export interface DatabaseSection {
  /** `mysql://user:password@host:port/database`, also `mariadb://`, or `sqlite:path/to/file`. */
  readonly url: string;
  /** Prefix of the framework's tables, as the outbox or the inbox has it. Default `txbox_`. */
  readonly tablePrefix?: string;
}

/** The options of a database in a configuration. */
export const DATABASE_SECTION: OptionChecks<DatabaseSection> = {
  rules: { url: databaseUrl, tablePrefix },
  optional: ['tablePrefix'],
  secret: ['url'],
};

/**
 * The section `database` (a service's) or `inbox.database` (a consumer's) of a configuration, `undefined` when it is not
 * there. Throws `CONFIG_INVALID` with all problems.
 */
export function databaseSection(config: unknown, name: 'database' | 'inbox.database'): DatabaseSection | undefined {
  let section: unknown = config;
  for (const key of name.split('.')) {
    if (section === undefined) return undefined;
    if (typeof section !== 'object' || section === null)
      throw new TxboxError('CONFIG_INVALID', `Configuration: ${name} must be an object with a url.`);
    section = (section as Record<string, unknown>)[key];
  }
  if (section === undefined) return undefined;
  return checkOptions<DatabaseSection>(`Configuration, section ${name}`, section, {
    ...DATABASE_SECTION,
    code: 'CONFIG_INVALID',
  });
}
