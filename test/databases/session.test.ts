import { randomBytes } from 'node:crypto';
import { openDatabase, type TxboxError } from '@txbox/core/spi';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type EmptyDatabase, emptyDatabase, SERVERS } from './server.ts';

describe.each(SERVERS)('sessions on %s', (_name, variable, service) => {
  let server: EmptyDatabase;
  beforeAll(async () => {
    server = await emptyDatabase(variable, service);
    const session = await (await server.open()).session();
    await session.execute(
      'CREATE TABLE t (id INT PRIMARY KEY, n BIGINT, b VARBINARY(300), c DATETIME(6), d TEXT) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4',
    );
  });
  afterAll(async () => await server.drop());

  it('are set to UTC, autocommit, a strict mode, READ COMMITTED and short waits', async () => {
    const database = await server.open();
    const isolation = service === 'mariadb' || service === 'mysql57' ? '@@tx_isolation' : '@@transaction_isolation';
    const settings = `SELECT @@time_zone, @@autocommit, @@sql_mode, @@innodb_lock_wait_timeout, @@wait_timeout, ${isolation}`;
    expect(await (await database.session()).query(settings)).toEqual([
      ['+00:00', 1, 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION', 1, 60, 'READ-COMMITTED'],
    ]);
    expect((await (await database.session({ dirty: true })).query(settings))[0]?.[5]).toBe('READ-UNCOMMITTED');
    expect(database.dialect.maxStatementBytes).toBeGreaterThan(1_000_000);
    expect(database.description).not.toContain(':root:');
  });

  it('say whether the user, the password, the name of the database or a right is wrong; never the password', async () => {
    const root = await (await server.open()).session();
    const user = `poor_${randomBytes(4).toString('hex')}`;
    await root.execute(`CREATE USER '${user}'@'%' IDENTIFIED BY 'secret'`);
    onTestFinished(async () => void (await root.execute(`DROP USER '${user}'@'%'`)));
    const opened = async (change: (url: URL) => void): Promise<unknown> => {
      const url = new URL(server.url);
      [url.username, url.password] = [user, 'secret'];
      change(url);
      const database = await openDatabase({ url: url.href }).catch((error: unknown) => error as TxboxError);
      if (!('session' in database)) return `${database.code}: ${database.message}`;
      onTestFinished(() => database.close());
      const denied = (await database.session()).query('SELECT * FROM t').catch((error: unknown) => error as TxboxError);
      const { code, message } = (await denied) as TxboxError;
      return `${code}: ${message}`;
    };
    expect(await opened((url) => (url.password = 'wrong-one'))).toMatch(
      /^DATABASE_UNAVAILABLE: .* refuses the user or the password: (?!.*wrong-one)/,
    );
    expect(await opened(() => undefined)).toMatch(/^DATABASE_UNAVAILABLE: .* is closed to this user: .*least/);
    const { pathname } = new URL(server.url);
    await root.execute(`GRANT INSERT ON ${pathname.slice(1)}.* TO '${user}'@'%'`);
    expect(await opened(() => undefined)).toMatch(/^RIGHTS_MISSING: .*SELECT command denied.*txbox relay doctor/);
    await root.execute(`GRANT ALL ON no_such_database.* TO '${user}'@'%'`);
    expect(await opened((url) => (url.pathname = '/no_such_database'))).toMatch(
      /^DATABASE_UNAVAILABLE: .* does not exist: .*CREATE DATABASE/,
    );
  });

  it('never hand a dirty session to somebody who wants a clean one', async () => {
    const database = await server.open();
    const [clean, dirty] = [await database.session(), await database.session({ dirty: true })];
    await dirty.release();
    await clean.release();
    expect(await database.session({ dirty: true })).toBe(dirty);
    expect(await database.session()).toBe(clean);
    expect(await database.session({ dirty: true })).not.toBe(dirty);
  });

  it('carry every byte, text of every plane, time and number', async () => {
    const session = await (await server.open()).session();
    const bytes = Buffer.from([...Array(256).keys()]);
    const row = [1, Number.MAX_SAFE_INTEGER, bytes, '2026-01-02 03:04:05.678901', "a'b\\c\0 🎉 漢字"];
    expect(await session.execute('INSERT INTO t VALUES (?, ?, ?, ?, ?)', row)).toEqual({ affectedRows: 1 });
    expect(await session.query('SELECT * FROM t WHERE b = ?', [bytes])).toEqual([row]);
  });

  it('measure time by the database, to the microsecond', async () => {
    const { dialect } = await server.open();
    const session = await (await server.open()).session();
    const [row] = (await session.query(
      `SELECT ${dialect.nowPlusMs}, ${dialect.now}, ${dialect.nowPlusMs}, ${dialect.msSince(dialect.nowPlusMs)}`,
      [-1_500, 2_500, -250],
    )) as string[][];
    const [earlier, now, later, since] = row as [string, string, string, string];
    const at = (time: string): number => Date.parse(`${time.slice(0, 23).replace(' ', 'T')}Z`);
    expect(now).toMatch(/\.\d{6}$/);
    expect([at(earlier) - at(now), at(later) - at(now), Number(since)]).toEqual([-1_500, 2_500, 250]);
  });

  it('tell a duplicate, a lock time-out, a deadlock and a missing table apart', async () => {
    const database = await server.open();
    const [first, second] = [await database.session(), await database.session()];
    const kindOf = async (work: Promise<unknown>) =>
      database.dialect.classify(
        await work.then(
          () => undefined,
          (reason: unknown) => reason,
        ),
      );
    await first.execute('DELETE FROM t');
    await first.execute('INSERT INTO t (id) VALUES (1), (2)');
    expect(await kindOf(first.execute('INSERT INTO t (id) VALUES (1)'))).toBe('duplicate');
    expect(await kindOf(first.query('SELECT * FROM nowhere'))).toBe('missing-table');
    await first.begin();
    await second.begin();
    await first.execute('UPDATE t SET n = 1 WHERE id = 1');
    expect(await kindOf(second.execute('UPDATE t SET n = 1 WHERE id = 1'))).toBe('lock-timeout');
    await second.execute('UPDATE t SET n = 1 WHERE id = 2');
    const kinds = await Promise.all([
      kindOf(first.execute('UPDATE t SET n = 2 WHERE id = 2')),
      kindOf(second.execute('UPDATE t SET n = 2 WHERE id = 1')),
    ]);
    expect(kinds).toContain('deadlock');
    await first.rollback();
    await second.rollback();
  });

  it('are closed when the server does not answer in time, and when it kills them', async () => {
    const database = await server.open({ queryTimeoutMs: 300 });
    const slow = await database.session();
    await expect(slow.query('SELECT SLEEP(5)')).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE', retryable: true });
    await expect(slow.query('SELECT 1')).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    await slow.release();

    const [victim, killer] = [await database.session(), await database.session()];
    const [[id]] = (await victim.query('SELECT CONNECTION_ID()')) as [[number]];
    await killer.execute(`KILL ${id}`);
    const lost = await victim.query('SELECT 1').catch((reason: unknown) => reason);
    expect(database.dialect.classify(lost)).toBe('connection-lost');
    await victim.release();
    expect(await (await database.session()).query('SELECT 1')).toEqual([[1]]);
  });

  it('end what waits for an answer when they are destroyed, and when their database is closed', async () => {
    const database = await server.open();
    const [first, second] = [await database.session(), await database.session()];
    const answers = [first, second].map((session) => session.query('SELECT SLEEP(20)').catch((reason: unknown) => reason));
    first.destroy();
    await database.close();
    for (const answer of await Promise.all(answers)) expect(answer).toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
  });

  it('do not survive with an open transaction', async () => {
    const database = await server.open();
    const session = await database.session();
    await session.begin();
    await session.execute('INSERT INTO t (id) VALUES (77)');
    await session.release();
    const next = await database.session();
    expect(next).not.toBe(session);
    expect(await next.query('SELECT * FROM t WHERE id = 77')).toEqual([]);
  });

  it('are refused with DATABASE_UNAVAILABLE for a database that is not there', async () => {
    const { openDatabase } = await import('@txbox/core/spi');
    await expect(openDatabase({ url: `${server.url}_missing` })).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
  });
});
