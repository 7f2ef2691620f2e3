import { checkSchema, coreComponent, migrate, mysqlDialect, tableNames } from '@txbox/core/spi';
import { outboxComponent } from '@txbox/outbox/store';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type EmptyDatabase, emptyDatabase, SERVERS } from './server.ts';

const COMPONENTS = [outboxComponent, coreComponent];
/** Every step of them, the shared tables first. */
const STEPS = [coreComponent, outboxComponent].flatMap(({ name, migrations }) => migrations.map(({ version }) => [name, version]));

describe.each(SERVERS)('migrations on %s', (_name, variable, service) => {
  let server: EmptyDatabase;
  beforeAll(async () => {
    server = await emptyDatabase(variable, service);
  });
  afterAll(async () => await server.drop());

  it('run in five processes at once, each step applied once', async () => {
    const databases = await Promise.all(Array.from({ length: 5 }, () => server.open()));
    const sessions = await Promise.all(databases.map((database) => database.session()));
    const applied = await Promise.all(sessions.map((session) => migrate(session, COMPONENTS)));
    expect(applied.flat().map(({ component, version }) => [component, version])).toEqual(STEPS);
    for (const component of COMPONENTS) await checkSchema(sessions[0]!, component);
  });

  it('give text columns a binary collation, whatever the database has', async () => {
    const session = await (await server.open()).session();
    await migrate(session, COMPONENTS);
    const rows = await session.query(
      "SELECT DISTINCT COLLATION_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND COLLATION_NAME IS NOT NULL AND TABLE_NAME LIKE 'txbox%'",
    );
    expect(rows).toEqual([['utf8mb4_bin']]);
    const engines = await session.query(
      "SELECT DISTINCT ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME LIKE 'txbox%'",
    );
    expect(engines).toEqual([['InnoDB']]);
  });

  it('cluster the outbox by shard, then position', async () => {
    const session = await (await server.open()).session();
    const rows = await session.query(
      "SELECT COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'txbox_outbox' AND INDEX_NAME = 'PRIMARY' ORDER BY SEQ_IN_INDEX",
    );
    expect(rows.flat()).toEqual(['shard', 'position']);
  });

  it('go on after a crash behind any statement', async () => {
    const session = await (await server.open()).session();
    const prefix = 'crash_';
    const tables = tableNames(prefix);
    const statements = COMPONENTS.toReversed().flatMap((component) =>
      component.migrations.flatMap((step) => step.statements(mysqlDialect(), tables)),
    );
    for (let done = 1; done <= statements.length; done += 4) {
      for (const statement of statements.slice(0, done)) await session.execute(statement);
      expect(await migrate(session, COMPONENTS, { tablePrefix: prefix })).toHaveLength(STEPS.length);
      for (const table of new Set(statements.flatMap((statement) => /TABLE IF NOT EXISTS (\S+)/.exec(statement)?.[1] ?? [])))
        await session.execute(`DROP TABLE ${table}`);
    }
  });

  it('say who is in the way when another process does not end', async () => {
    const database = await server.open();
    const [first, second] = [await database.session(), await database.session()];
    await first.dialect.exclusively(first, tableNames('slow_').meta, 1_000, async () => {
      await expect(migrate(second, COMPONENTS, { tablePrefix: 'slow_', lockWaitMs: 1 })).rejects.toMatchObject({
        code: 'MIGRATION_FAILED',
        retryable: true,
      });
      // Another installation is nobody's business.
      expect(await migrate(second, COMPONENTS, { tablePrefix: 'other_', lockWaitMs: 1 })).toHaveLength(STEPS.length);
    });
    expect(await migrate(second, COMPONENTS, { tablePrefix: 'slow_', lockWaitMs: 1 })).toHaveLength(STEPS.length);
  });
});
