import { describe, expect, it } from 'vitest';
import { openDatabase } from '../../src/spi.ts';
import { sqliteFile } from './sqlite-file.ts';

describe('openDatabase', () => {
  it.each(['', 'postgres://h/d', 'mysql://host', 'mysql://host/', 'sqlite:', 'sqlite::memory:', 'mysql:// /x', null])(
    'refuses the url %j',
    async (url) => {
      await expect(openDatabase({ url: url as string })).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
    },
  );

  it.each(['te#st', 'te/st', 't@e/st', 't@e#st', '12#st', '100%'])(
    'says how a password like %j is written, and shows nothing of it',
    async (password) => {
      const error = await openDatabase({ url: `mysql://root:${password}@127.0.0.1:1/d` }).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'OPTIONS_INVALID', message: expect.stringContaining('%23') });
      expect(String(error)).not.toContain('st@');
      const url = `mysql://root:${encodeURIComponent(password)}@127.0.0.1:1/d`;
      await expect(openDatabase({ url })).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    },
  );

  it('refuses parameters that mysql2 does not take', async () => {
    await expect(openDatabase({ url: 'mysql://root:secret@127.0.0.1:1/d?ssl=true' })).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      message: expect.stringMatching(/127\.0\.0\.1:1\/d.*SSL profile.*\?ssl=\{/),
    });
  });

  it('reports several problems at once, without the password', async () => {
    const error = await openDatabase({ url: 'postgres://root:secret@h/d', queryTimeoutMs: 0, pool: 3 } as never).catch(
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ message: expect.stringMatching(/url.*queryTimeoutMs|pool.*url/s) });
    expect(String(error)).not.toContain('secret');
  });

  it('says so when nobody answers, or the folder is not there', async () => {
    const url = 'mysql://root:secret@127.0.0.1:1/nothing';
    const error = await openDatabase({ url }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
      retryable: true,
      message: expect.stringMatching(/127\.0\.0\.1:1\/nothing.* host and port/),
    });
    expect(String(error)).not.toContain('secret');
    await expect(openDatabase({ url: 'sqlite:/no/such/folder/file.db' })).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
  });
});

describe('a SQLite session', () => {
  it('gives rows as arrays, binaries as Buffers, and counts what it changed', async () => {
    const session = await (await (await sqliteFile()).open()).session();
    await session.execute('CREATE TABLE t (a INTEGER, b BINARY(2), c DATETIME(6), d TEXT)');
    const time = '2026-01-02 03:04:05.678900';
    expect(
      await session.execute('INSERT INTO t VALUES (?, ?, ?, ?), (2, ?, ?, ?)', [1, Buffer.from([0, 255]), time, 'é', null, null, null]),
    ).toEqual({ affectedRows: 2 });
    expect(await session.query('SELECT * FROM t ORDER BY a')).toEqual([
      [1, Buffer.from([0, 255]), time, 'é'],
      [2, null, null, null],
    ]);
  });

  it('waits for another writer without stopping the process, then goes on', async () => {
    const file = await sqliteFile();
    const database = await file.open();
    const [first, second] = [await database.session(), await database.session()];
    await first.execute('CREATE TABLE t (a INTEGER)');
    await first.begin();
    await first.execute('INSERT INTO t VALUES (1)');
    const waiting = second.execute('INSERT INTO t VALUES (2)');
    await new Promise((resolve) => setImmediate(resolve));
    await first.commit();
    await waiting;
    expect(await first.query('SELECT COUNT(*) FROM t')).toEqual([[2]]);
  });

  it('gives up after lockWaitTimeoutMs', async () => {
    const database = await (await sqliteFile()).open(0);
    const [first, second] = [await database.session(), await database.session()];
    await first.begin();
    const error = await second.begin().catch((reason: unknown) => reason);
    expect(database.dialect.classify(error)).toBe('lock-timeout');
  });

  it('is rolled back when it is released with an open transaction', async () => {
    const database = await (await sqliteFile()).open();
    const session = await database.session();
    await session.execute('CREATE TABLE t (a INTEGER)');
    await session.begin();
    await session.execute('INSERT INTO t VALUES (1)');
    await session.release();
    expect(await (await database.session()).query('SELECT COUNT(*) FROM t')).toEqual([[0]]);
  });

  it('is refused after close, which may be called twice', async () => {
    const database = await (await sqliteFile()).open();
    await database.close();
    await database.close();
    await expect(database.session()).rejects.toMatchObject({ code: 'STOPPED' });
  });
});
