import { isTxboxError, TxboxError } from '../runtime/error.ts';
import type { Dialect } from './dialect.ts';
import type { Migration, MigrationComponent } from './migration.ts';
import type { SqlSession } from './session.ts';
import { driverErrorOf } from './sql-error.ts';
import { type TableNames, tableNames } from './table-names.ts';

/** How {@link migrate} runs. */
export interface MigrateOptions {
  /** Default `txbox_`. */
  readonly tablePrefix?: string;
  /** How long to wait for another process that migrates. Default 60,000. */
  readonly lockWaitMs?: number;
}

/** A step that was applied. */
export interface AppliedMigration {
  readonly component: string;
  readonly version: number;
  readonly name: string;
}

/**
 * Brings the tables of the components up to what this code knows, under a lock: any number of processes may do so at
 * once. A schema that is newer stays as it is. A crash leaves a state from which the next run goes on.
 *
 * `session` has no open transaction. Returns what was applied, in order. Throws `MIGRATION_FAILED`, or `SCHEMA_TOO_NEW`
 * when the schema no longer supports this code.
 */
export async function migrate(
  session: SqlSession,
  components: readonly MigrationComponent[],
  options: MigrateOptions = {},
): Promise<AppliedMigration[]> {
  const tables = tableNames(options.tablePrefix);
  return session.dialect.exclusively(session, tables.meta, options.lockWaitMs ?? 60_000, async () => {
    const applied: AppliedMigration[] = [];
    for (const component of inOrder(components)) {
      const current = await failing(`The schema of ${component.name} cannot be read`, () => schemaVersion(session, component.name, tables));
      if (current) refuseTooNew(component, current);
      for (const migration of component.migrations.filter(({ version }) => version > (current?.version ?? 0))) {
        await apply(session, component, migration, tables);
        applied.push({ component: component.name, version: migration.version, name: migration.name });
      }
    }
    return applied;
  });
}

/** The statements that {@link migrate} would run on an empty database, as text with `;`. */
export function migrationScript(dialect: Dialect, components: readonly MigrationComponent[], tablePrefix?: string): string {
  const tables = tableNames(tablePrefix);
  const parts = inOrder(components).flatMap((component) =>
    component.migrations.map((migration) => {
      const statements = [...migration.statements(dialect, tables), ...recording(dialect, component, migration, tables)];
      return [`-- ${component.name} ${migration.version}: ${migration.name}`, ...statements.map((statement) => `${statement};`)].join('\n');
    }),
  );
  return parts.join('\n\n');
}

/**
 * Checks that the tables of a component are there and that schema and code support each other. Throws `SCHEMA_MISSING`,
 * `SCHEMA_TOO_OLD` (migrate first) or `SCHEMA_TOO_NEW` (update the code first).
 */
export async function checkSchema(session: SqlSession, component: MigrationComponent, tablePrefix?: string): Promise<void> {
  const tables = tableNames(tablePrefix);
  const current = await schemaVersion(session, component.name, tables);
  if (!current) throw await schemaMissing(session, component, tables);
  refuseTooNew(component, current);
  if (current.version >= component.requires) return;
  throw new TxboxError(
    'SCHEMA_TOO_OLD',
    `The schema of component ${component.name} is at version ${current.version}, this code needs ${component.requires}. Run txbox migrate first.`,
    {
      details: { component: component.name, version: current.version, requires: component.requires },
    },
  );
}

async function schemaMissing(session: SqlSession, component: MigrationComponent, tables: TableNames): Promise<TxboxError> {
  const [[database] = []] = await session.query(`SELECT ${session.dialect.databaseName}`);
  const what = component.side === 'shared' ? 'tables that outbox and inbox share' : `${component.name} tables`;
  return new TxboxError(
    'SCHEMA_MISSING',
    `The ${what} are not installed in the database ${String(database)}, or under another tablePrefix: there is no ${tables.meta} that names ${component.name}. ` +
      'Run txbox migrate, or migrate() at the start of the service.',
    { details: { component: component.name, database: String(database) } },
  );
}

interface SchemaVersion {
  readonly version: number;
  readonly minCodeVersion: number;
}

async function schemaVersion(session: SqlSession, component: string, tables: TableNames): Promise<SchemaVersion | undefined> {
  try {
    const [row] = await session.query(`SELECT version, min_code_version FROM ${tables.meta} WHERE component = ?`, [component]);
    return row && { version: Number(row[0]), minCodeVersion: Number(row[1]) };
  } catch (error) {
    if (session.dialect.classify(error) === 'missing-table') return undefined;
    throw error;
  }
}

function refuseTooNew(component: MigrationComponent, schema: SchemaVersion): void {
  const known = component.migrations.at(-1)?.version ?? 0;
  if (known >= schema.minCodeVersion) return;
  throw new TxboxError(
    'SCHEMA_TOO_NEW',
    `The schema of component ${component.name} (version ${schema.version}) works with code that knows version ${schema.minCodeVersion} or newer, this code knows ${known}. Update the packages.`,
    { details: { component: component.name, version: schema.version, minCodeVersion: schema.minCodeVersion, knows: known } },
  );
}

async function apply(session: SqlSession, component: MigrationComponent, migration: Migration, tables: TableNames): Promise<void> {
  await failing(`Migration ${component.name} ${migration.version} (${migration.name}) failed`, async () => {
    for (const statement of migration.statements(session.dialect, tables)) await session.execute(statement);
    for (const statement of recording(session.dialect, component, migration, tables)) await session.execute(statement);
  });
}

async function failing<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    // What a relay and a service need at least is no help to whom makes tables.
    const reason = isTxboxError(cause, 'RIGHTS_MISSING')
      ? driverErrorOf(cause).message
      : cause instanceof Error
        ? cause.message
        : String(cause);
    throw new TxboxError(
      'MIGRATION_FAILED',
      `${what}: ${reason.replace(/\.+$/, '')}. Correct the reason and migrate again: it goes on where it stopped.`,
      { cause },
    );
  }
}

// Two statements instead of an upsert: the same text everywhere, safe under the lock, and `settings` stays.
function recording(dialect: Dialect, component: MigrationComponent, migration: Migration, tables: TableNames): string[] {
  return [
    `${dialect.insertIgnore} INTO ${tables.meta} (component, version, min_code_version) VALUES ('${component.name}', 0, 0)`,
    `UPDATE ${tables.meta} SET version = ${migration.version}, min_code_version = ${migration.minCodeVersion} WHERE component = '${component.name}'`,
  ];
}

/** Shared tables first, among them the one that holds the versions. */
function inOrder(components: readonly MigrationComponent[]): MigrationComponent[] {
  return components.toSorted((a, b) => Number(b.side === 'shared') - Number(a.side === 'shared'));
}
