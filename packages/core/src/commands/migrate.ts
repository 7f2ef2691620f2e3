import type { Command, CommandContext } from '../runtime/command.ts';
import { TxboxError } from '../runtime/error.ts';
import { mysqlDialect } from '../sql/dialects/mysql.ts';
import { sqliteDialect } from '../sql/dialects/sqlite.ts';
import type { MigrationComponent } from '../sql/migration.ts';
import { type AppliedMigration, migrate, migrationScript } from '../sql/migrator.ts';
import { openDatabase } from '../sql/open-database.ts';
import { type DatabaseSection, databaseSection } from './database-section.ts';

/** `txbox migrate`: creates or updates the tables of every configured database. */
export const migrateCommand: Command = {
  path: ['migrate'],
  summary: 'Creates or updates the tables, safe to run at any time and from several processes at once.',
  options: {
    print: { type: 'boolean', description: 'print the SQL of all steps, run nothing' },
    json: { type: 'boolean', description: 'print one JSON object: what was applied, or with --print the SQL, by database' },
  },
  async run(context) {
    const targets = targetsOf(context);
    if (context.options['print'] === true) {
      const scripts = targets.map(scriptOf);
      if (context.options['json'] === true) context.output.json({ databases: scripts });
      else for (const { database, sql } of scripts) context.output.line(`-- ${database}\n${sql}\n`);
      return 0;
    }
    const results: { database: string; applied: AppliedMigration[] }[] = [];
    for (const target of targets) results.push(await migrateTarget(target));
    if (context.options['json'] === true) context.output.json({ databases: results });
    else for (const line of results.flatMap(describe)) context.output.line(line);
    return 0;
  },
};

interface Target {
  readonly section: DatabaseSection;
  readonly components: readonly MigrationComponent[];
}

/** A service's database gets the producer's tables, a consumer's the inbox's, each the shared ones; one database may be both. */
function targetsOf(context: CommandContext): Target[] {
  const service = databaseSection(context.config, 'database');
  const consumer = databaseSection(context.config, 'inbox.database');
  const of = (side: MigrationComponent['side']): MigrationComponent[] =>
    context.components.filter((component) => component.side === 'shared' || component.side === side);
  const targets = [
    ...(service ? [{ section: service, components: of('producer') }] : []),
    ...(consumer ? [{ section: consumer, components: of('consumer') }] : []),
  ];
  if (targets.length > 0) return targets;
  throw new TxboxError(
    'CONFIG_INVALID',
    'Configuration: neither database.url nor inbox.database.url is there, so there is nothing to migrate.',
  );
}

function scriptOf({ section: { url, tablePrefix }, components }: Target): { database: string; sql: string } {
  const isSqlite = /^sqlite:/i.test(url);
  const sql = migrationScript(isSqlite ? sqliteDialect : mysqlDialect(), components, tablePrefix);
  if (isSqlite || !URL.canParse(url)) return { database: isSqlite ? url : 'a database', sql };
  const { host, pathname } = new URL(url);
  return { database: `mysql://${host}${pathname}`, sql };
}

async function migrateTarget({ section, components }: Target): Promise<{ database: string; applied: AppliedMigration[] }> {
  const database = await openDatabase({ url: section.url });
  try {
    const session = await database.session();
    try {
      const options = section.tablePrefix === undefined ? {} : { tablePrefix: section.tablePrefix };
      return { database: database.description, applied: await migrate(session, components, options) };
    } finally {
      await session.release();
    }
  } finally {
    await database.close();
  }
}

function describe({ database, applied }: { database: string; applied: readonly AppliedMigration[] }): string[] {
  if (applied.length === 0) return [`${database}: up to date`];
  return applied.map(({ component, version, name }) => `${database}: applied ${component} ${version} (${name})`);
}
