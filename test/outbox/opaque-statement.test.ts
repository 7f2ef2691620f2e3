// Statements of which the text does not tell what they do to the transaction, and those that hide it.
import { createOutbox } from '@txbox/outbox/mysql2';
import { createPool, type PoolConnection } from 'mysql2/promise';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Placed, SERVERS } from './lane.ts';
import { type PoolService, place, startPoolService } from './mysql2-lane.ts';

describe.each(SERVERS)('on %s', (...server) => {
  let service: PoolService;
  const isMariadb = server[2] === 'mariadb';
  beforeAll(async () => {
    service = await startPoolService(server, 'promise', { pool: { connectionLimit: 4, multipleStatements: true } });
    const { admin } = service.database;
    await admin.query(
      'CREATE PROCEDURE harmless() BEGIN SAVEPOINT own; INSERT INTO orders VALUES (UUID(), 0); ROLLBACK TO own; SELECT 1 AS one; END',
    );
    await admin.query('CREATE PROCEDURE committing() COMMIT AND CHAIN');
    await admin.query('CREATE PROCEDURE rolling_back() ROLLBACK AND CHAIN');
    await admin.query('CREATE PROCEDURE undoing() ROLLBACK TO sp');
    await admin.query("CREATE PROCEDURE failing() BEGIN ROLLBACK TO sp; SIGNAL SQLSTATE '45000'; END");
  });
  afterAll(() => service.close());
  beforeEach(() => service.database.clear());

  /** A row and an event behind a savepoint, then `after`. */
  const around = (after: (connection: PoolConnection) => Promise<unknown>): Promise<void> =>
    service.outbox.transaction(async (tx) => {
      await tx.connection.query('SAVEPOINT sp');
      await place(tx.connection, 'a');
      tx.add(Placed, { id: 'a' });
      await after(tx.connection);
    });
  const committed = async () => [await service.database.orders(), await service.database.events()];

  it('a procedure that keeps to itself is no matter, and its rows arrive', async () => {
    await around(async (connection) => {
      const [results] = await connection.query('CALL harmless()');
      expect((results as unknown[])[0]).toEqual([{ one: 1 }]);
      await connection.execute('CALL harmless()');
      // Nothing of ours is left behind.
      await expect(connection.query('RELEASE SAVEPOINT txbox_probe')).rejects.toMatchObject({ errno: 1305 });
    });
    expect(await committed()).toEqual([['a'], ['a']]);
  });

  it.each([
    'CALL rolling_back()',
    'CALL undoing()',
    'SELECT 1; CALL undoing()',
    '/* a */ call undoing() -- b',
    ...(isMariadb
      ? [
          "EXECUTE IMMEDIATE 'ROLLBACK AND CHAIN'",
          'BEGIN NOT ATOMIC ROLLBACK TO sp; END',
          'SET STATEMENT max_statement_time = 5 FOR ROLLBACK AND CHAIN',
        ]
      : []),
    '/*!999999 SELECT 1 */ ROLLBACK AND CHAIN',
  ])('no event without its data after %s', async (sql) => {
    await expect(around((connection) => connection.query(sql))).rejects.toMatchObject({ code: 'UNIT_DOOMED', retryable: false });
    expect(await committed()).toEqual([[], []]);
  });

  it('nor when the statement failed after it', async () => {
    await expect(around((connection) => connection.query('CALL failing()').catch(() => undefined))).rejects.toMatchObject({
      code: 'UNIT_DOOMED',
    });
    expect(await committed()).toEqual([[], []]);
  });

  it('a commit half-way is called so: nothing that comes after it is committed', async () => {
    const half = around(async (connection) => {
      await connection.query('CALL committing()');
      await place(connection, 'b').catch(() => undefined);
    });
    await expect(half).rejects.toMatchObject({
      code: 'UNIT_DOOMED',
      retryable: false,
      details: { half: true },
      message: expect.stringContaining('may be committed already'),
    });
    expect(await committed()).toEqual([['a'], []]);
  });

  it('a commit half-way is called so also when the function fails by itself afterwards, and is not run again', async () => {
    const declined = Object.assign(new Error('declined'), { errno: 1213, code: 'ER_LOCK_DEADLOCK' });
    let runs = 0;
    const half = service.outbox.transaction({ retry: { maxAttempts: 3 } }, async ({ connection }) => {
      runs += 1;
      await place(connection, 'a');
      await connection.query('CALL committing()');
      throw declined;
    });
    await expect(half).rejects.toMatchObject({ code: 'UNIT_DOOMED', retryable: false, details: { half: true }, cause: declined });
    expect([runs, await committed()]).toEqual([1, [['a'], []]]);
  });

  it.each([
    "ROLLBACK TO SAVEPOINT sp /* traceparent='00-1' */",
    'ROLLBACK /* x */ TO sp -- undo',
    'SELECT 1; ROLLBACK TO sp',
    '\n/* x */ ROLLBACK WORK TO `sp`;',
  ])('events go back with their data: %s', async (sql) => {
    await service.outbox.transaction(async (tx) => {
      await tx.connection.query('SAVEPOINT sp /* set */');
      await place(tx.connection, 'a');
      tx.add(Placed, { id: 'a' });
      await tx.connection.query(sql);
      await place(tx.connection, 'b');
      tx.add(Placed, { id: 'b' });
    });
    expect(await committed()).toEqual([['b'], ['b']]);
  });

  it('a text of several that fails half-way among savepoints dooms', async () => {
    await expect(around((connection) => connection.query('ROLLBACK TO sp; SELEC 1').catch(() => undefined))).rejects.toMatchObject({
      code: 'UNIT_DOOMED',
    });
    expect(await committed()).toEqual([[], []]);
  });

  it('a refused statement shows no password', async () => {
    await expect(around((connection) => connection.query("ALTER USER nobody IDENTIFIED BY 'hunter2'"))).rejects.toSatisfy(
      (error: Error) => error.message.includes('ALTER USER nobody') && !error.message.includes('hunter2'),
    );
  });

  it('what was prepared in a transaction is not executed after it', async () => {
    let kept: { execute(values: unknown[]): Promise<unknown> } | undefined;
    await service.outbox.transaction(async (tx) => {
      kept = await tx.connection.prepare('INSERT INTO orders VALUES (?, 1)');
      await kept.execute(['a']);
    });
    await expect((async () => kept?.execute(['b']))()).rejects.toMatchObject({ code: 'UNIT_CLOSED' });
    expect(await service.database.orders()).toEqual(['a']);
  });

  it('two outboxes of one pool with tables of their own keep apart', async () => {
    const pool = createPool({ uri: service.database.url, connectionLimit: 2 });
    const [first, second] = [createOutbox({ pool, name: 'first' }), createOutbox({ pool, name: 'second', tablePrefix: 'second_' })];
    try {
      await second.migrate();
      await first.transaction(async (tx) => {
        tx.add(Placed, { id: 'a' });
        first.add(Placed, { id: 'b' });
        second.add(Placed, { id: 'c' });
      });
      expect(await service.database.events()).toEqual(['a', 'b']);
      const [rows] = await service.database.admin.query('SELECT CAST(message_key AS CHAR) AS k FROM second_outbox');
      expect(rows).toEqual([{ k: 'c' }]);
    } finally {
      await first.close();
      await second.close();
      await pool.end();
    }
  });
});
