import { describe, expect, it } from 'vitest';
import {
  checkSchema,
  coreComponent,
  createTable,
  type Migration,
  type MigrationComponent,
  migrate,
  migrationScript,
  mysqlDialect,
  sqliteDialect,
  tableNames,
} from '../../src/spi.ts';
import { sqliteFile } from './sqlite-file.ts';

const step = (version: number, minCodeVersion = 1, statements: readonly string[] = []): Migration => ({
  version,
  name: `step ${version}`,
  minCodeVersion,
  statements: () => statements,
});
const component = (requires: number, ...migrations: Migration[]): MigrationComponent => ({
  name: 'thing',
  side: 'producer',
  migrations,
  requires,
});

describe('migrate', () => {
  it('applies what is missing, shared tables first, and nothing twice', async () => {
    const session = await (await (await sqliteFile()).open()).session();
    expect(await migrate(session, [component(1, step(1)), coreComponent])).toEqual([
      { component: 'core', version: 1, name: expect.any(String) },
      { component: 'thing', version: 1, name: 'step 1' },
    ]);
    expect(await migrate(session, [component(2, step(1), step(2)), coreComponent])).toEqual([
      { component: 'thing', version: 2, name: 'step 2' },
    ]);
    expect(await migrate(session, [component(2, step(1), step(2)), coreComponent])).toEqual([]);
  });

  it('serves several installations in one database, and refuses a hostile prefix', async () => {
    const session = await (await (await sqliteFile()).open()).session();
    await migrate(session, [coreComponent], { tablePrefix: 'a_' });
    await expect(checkSchema(session, coreComponent)).rejects.toMatchObject({ code: 'SCHEMA_MISSING' });
    await migrate(session, [coreComponent]);
    await checkSchema(session, coreComponent, 'a_');
    await expect(migrate(session, [coreComponent], { tablePrefix: 'a`; --' })).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
  });

  it('leaves nothing behind when a step fails, and goes on from there the next time', async () => {
    const session = await (await (await sqliteFile()).open()).session();
    const failing = component(1, step(1, 1, ['CREATE TABLE half (a INTEGER)', 'NONSENSE']));
    await expect(migrate(session, [coreComponent, failing])).rejects.toMatchObject({
      code: 'MIGRATION_FAILED',
      message: expect.stringMatching(/[^.]\. Correct .* goes on where it stopped\.$/),
    });
    await expect(session.query('SELECT * FROM half')).rejects.toThrow('no such table');
    expect(await migrate(session, [coreComponent, component(1, step(1))])).toHaveLength(2);
  });

  it('may run in many places at once', async () => {
    const database = await (await sqliteFile()).open();
    const sessions = await Promise.all(Array.from({ length: 5 }, () => database.session()));
    const applied = await Promise.all(sessions.map((session) => migrate(session, [coreComponent])));
    expect(applied.flat()).toHaveLength(1);
  });

  it('prints the same statements', () => {
    const script = migrationScript(mysqlDialect(), [coreComponent], 'x_');
    expect(script).toContain('CREATE TABLE IF NOT EXISTS `x_lease`');
    expect(script).toContain('COLLATE=utf8mb4_bin;');
    expect(script.match(/UPDATE `x_meta` SET version = 1/g)).toHaveLength(1);
  });
});

describe('checkSchema', () => {
  it('names database, tables and way out when they are missing', async () => {
    const file = await sqliteFile();
    const session = await (await file.open()).session();
    const missing = await checkSchema(session, coreComponent, 'shop_').catch((error: unknown) => error);
    expect(missing).toMatchObject({ code: 'SCHEMA_MISSING', details: { component: 'core', database: file.path } });
    for (const part of [file.path, 'shop_meta', 'txbox migrate']) expect(String(missing)).toContain(part);
  });

  it('tells missing, too old and too new apart', async () => {
    const session = await (await (await sqliteFile()).open()).session();
    const old = component(1, step(1));
    await expect(checkSchema(session, old)).rejects.toMatchObject({ code: 'SCHEMA_MISSING' });
    await migrate(session, [coreComponent]);
    await expect(checkSchema(session, old)).rejects.toMatchObject({ code: 'SCHEMA_MISSING' });
    await migrate(session, [old]);
    await checkSchema(session, old);
    await expect(checkSchema(session, component(2, step(1), step(2)))).rejects.toMatchObject({ code: 'SCHEMA_TOO_OLD' });
    await migrate(session, [component(1, step(1), step(2), step(3, 2))]);
    await expect(checkSchema(session, old)).rejects.toMatchObject({ code: 'SCHEMA_TOO_NEW', details: { knows: 1, minCodeVersion: 2 } });
    await expect(migrate(session, [old])).rejects.toMatchObject({ code: 'SCHEMA_TOO_NEW' });
    await checkSchema(session, component(1, step(1), step(2)));
  });
});

describe('createTable', () => {
  const definition = {
    columns: ['a INT NOT NULL', 'n SERIAL'],
    serial: { column: 'n', after: 'a' },
    unique: ['a, n'],
    indexes: { by_a: 'a' },
  };

  it('puts keys and indexes where the database wants them', () => {
    expect(createTable(mysqlDialect(), tableNames().topic, definition).join('\n')).toContain('PRIMARY KEY (a, n), KEY (n)');
    const statements = createTable(sqliteDialect, tableNames().topic, definition);
    expect(statements).toHaveLength(2);
    expect(statements[0]).toContain('n INTEGER PRIMARY KEY AUTOINCREMENT');
    expect(statements[1]).toBe('CREATE INDEX IF NOT EXISTS `txbox_topic_by_a` ON `txbox_topic` (a)');
  });
});
