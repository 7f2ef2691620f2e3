import { describe, expect, it } from 'vitest';
import { commands, components } from '../../src/commands.ts';
import { checkSchema, coreComponent, type MigrationComponent, silentLogger } from '../../src/spi.ts';
import { sqliteFile } from '../sql/sqlite-file.ts';

const producer: MigrationComponent = {
  name: 'thing',
  side: 'producer',
  migrations: [{ version: 1, name: 'one', minCodeVersion: 1, statements: () => [] }],
  requires: 1,
};
const consumer: MigrationComponent = { ...producer, name: 'inbox', side: 'consumer' };

async function run(config: unknown, options: Record<string, boolean> = {}) {
  const lines: string[] = [];
  const values: unknown[] = [];
  const { signal } = new AbortController();
  const code = await commands[0]!.run({
    config,
    options,
    components: [...components, producer, consumer],
    output: { line: (text) => lines.push(text), json: (value) => values.push(value), progress: () => undefined },
    signal,
    forced: signal,
    logger: silentLogger,
    publisher: () => Promise.reject(new Error('not used')),
  });
  return { code, lines, values };
}

describe('txbox migrate', () => {
  it('gives each database its tables and says what it did', async () => {
    const [service, billing] = [await sqliteFile(), await sqliteFile()];
    const config = {
      database: { url: `sqlite:${service.path}` },
      inbox: { database: { url: `sqlite:${billing.path}`, tablePrefix: 'b_' } },
    };
    const { code, lines } = await run(config);
    expect(code).toBe(0);
    expect(lines).toEqual([
      expect.stringContaining('applied core 1'),
      expect.stringContaining('applied thing 1 (one)'),
      expect.stringContaining('applied core 1'),
      expect.stringContaining('applied inbox 1 (one)'),
    ]);
    const session = await (await service.open()).session();
    await checkSchema(session, producer);
    await expect(checkSchema(session, consumer)).rejects.toMatchObject({ code: 'SCHEMA_MISSING' });
    await checkSchema(await (await billing.open()).session(), coreComponent, 'b_');
    expect((await run(config)).lines).toEqual([expect.stringContaining('up to date'), expect.stringContaining('up to date')]);
  });

  it('prints JSON', async () => {
    const { path } = await sqliteFile();
    const { lines, values } = await run({ database: { url: `sqlite:${path}` } }, { json: true });
    expect(lines).toEqual([]);
    expect(values).toMatchObject([
      {
        databases: [
          {
            database: `sqlite:${path}`,
            applied: [
              { component: 'core', version: 1 },
              { component: 'thing', version: 1 },
            ],
          },
        ],
      },
    ]);
  });

  it('prints SQL without touching a database, and says of which it is; never the password', async () => {
    const config = { database: { url: 'mysql://nobody:secret@127.0.0.1:1/none' }, inbox: { database: { url: 'sqlite:billing.db' } } };
    const { lines } = await run(config, { print: true });
    expect(lines).toEqual([
      expect.stringMatching(/^-- mysql:\/\/127.0.0.1:1\/none\n.*ENGINE=InnoDB/s),
      expect.stringMatching(/^-- sqlite:billing.db\n/),
    ]);
    expect(lines.join()).not.toContain('secret');
    const { values } = await run(config, { print: true, json: true });
    const sql = expect.stringContaining('CREATE TABLE') as string;
    expect(values).toEqual([
      {
        databases: [
          { database: 'mysql://127.0.0.1:1/none', sql },
          { database: 'sqlite:billing.db', sql },
        ],
      },
    ]);
  });

  it.each([
    {},
    { database: {} },
    { database: { url: 'x', user: 'y' } },
    { database: 'x' },
    { inbox: 5 },
    { database: { url: 'sqlite:x', tablePrefix: 'a;b' } },
  ])('refuses %j', async (config) => {
    await expect(run(config)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});
