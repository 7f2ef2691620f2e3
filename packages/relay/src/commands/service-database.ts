import {
  type CommandContext,
  checkSchema,
  type Database,
  databaseSection,
  type MigrationComponent,
  openDatabase,
  TxboxError,
} from '@txbox/core/spi';

/** A service's database, as a command uses it. */
export interface ServiceDatabase {
  readonly database: Database;
  /** As stores take it. */
  readonly tablePrefix: { readonly tablePrefix?: string };
}

/**
 * Opens the service's database, makes sure of the tables of `components`, works, closes it. Rejects with `CONFIG_INVALID`,
 * `DATABASE_UNAVAILABLE` and what the schema lacks.
 */
export async function withServiceDatabase<T>(
  { config }: Pick<CommandContext, 'config'>,
  command: string,
  components: readonly MigrationComponent[],
  work: (opened: ServiceDatabase) => Promise<T>,
): Promise<T> {
  const section = databaseSection(config, 'database');
  if (!section) throw new TxboxError('CONFIG_INVALID', `Configuration: ${command} needs database.url, the database of the service.`);
  const { url, ...tablePrefix } = section;
  const database = await openDatabase({ url });
  try {
    const session = await database.session();
    try {
      for (const component of components) await checkSchema(session, component, section.tablePrefix);
    } finally {
      await session.release();
    }
    return await work({ database, tablePrefix });
  } finally {
    await database.close();
  }
}
