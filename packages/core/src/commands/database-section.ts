import { TxboxError } from '../runtime/error.ts';
import { checkOptions, text } from '../runtime/options.ts';
import { tablePrefix } from '../sql/table-names.ts';

/** A database as the configuration names it. */
export interface DatabaseSection {
  readonly url: string;
  readonly tablePrefix?: string;
}

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
    code: 'CONFIG_INVALID',
    optional: ['tablePrefix'],
    rules: { url: text, tablePrefix },
  });
}
