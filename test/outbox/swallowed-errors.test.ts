import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Placed } from './lane.ts';
import { SUBJECTS, type Subject } from './subject.ts';
import { WireTap } from './wire-tap.ts';

const RAISE = "UPDATE orders SET amount = amount + 1 WHERE id = 'stock'";

describe.each(SUBJECTS)('with %s', (_name, start) => {
  describe.each(['doom', 'continue'] as const)("and onLockTimeout: '%s', swallowed", (onLockTimeout) => {
    let tap: WireTap;
    let subject: Subject;
    beforeAll(async () => {
      subject = await start({
        outbox: { wake: false, onLockTimeout },
        url: async (url) => {
          tap = await WireTap.start(url);
          return tap.urlOf(url);
        },
      });
      await subject.database.admin.query('CREATE PROCEDURE ddl_then_begin() BEGIN DROP TABLE IF EXISTS nothing; START TRANSACTION; END');
      await subject.outbox.transaction(async (tx) => void tx.add(Placed, { id: 'first' }));
    });
    afterAll(async () => {
      await subject.close();
      await tap[Symbol.asyncDispose]();
    });
    beforeEach(async () => {
      await subject.database.clear();
      await subject.database.admin.query("INSERT INTO orders VALUES ('stock', 0)");
      tap.statements.length = 0;
    });

    const committed = async (): Promise<[string[], string[], number]> => {
      const { database } = subject;
      return [await database.orders(), await database.events(), await database.amountOf('stock')];
    };
    /** Resolves to what the statements said that were swallowed, between an order and its event. */
    async function orderAround(...statements: string[]): Promise<unknown[]> {
      return await subject.outbox.transaction(async (tx) => {
        await subject.place('a');
        const said: unknown[] = [];
        for (const sql of statements) said.push(await subject.query(sql).catch(({ errno, code }) => errno ?? code));
        tx.add(Placed, { id: 'a' });
        return said;
      });
    }

    it('1205 that rolled everything back (innodb_rollback_on_timeout) commits nothing', async () => {
      tap.lieAt({ text: 'UPDATE', instead: 'ROLLBACK', errno: 1205 });
      const doomed = { code: 'UNIT_DOOMED', retryable: true, cause: { errno: 1205 } };
      await expect(orderAround(RAISE, RAISE)).rejects.toMatchObject(doomed);
      expect(await committed()).toEqual([['stock'], [], 0]);
    });

    it('1205 of a NOWAIT that rolled everything back commits nothing', async () => {
      tap.lieAt({ text: 'SELECT', instead: 'ROLLBACK', errno: 1205 });
      await expect(orderAround('SELECT * FROM orders FOR UPDATE NOWAIT')).rejects.toMatchObject({ code: 'UNIT_DOOMED' });
      expect(await committed()).toEqual([['stock'], [], 0]);
    });

    it.each([
      ['as MariaDB says it', 1205],
      ['as MySQL says it', 3572],
    ])('a refused NOWAIT, %s, dooms nothing', async (_who, errno) => {
      tap.lieAt({ text: 'SELECT', instead: 'DO 0', errno });
      expect(await orderAround('SELECT * FROM orders FOR UPDATE NOWAIT')).toEqual([errno]);
      expect(await committed()).toEqual([['a', 'stock'], ['a'], 0]);
    });

    it.each([1213, 1206, 1020])('%i, after which the server has no transaction, commits nothing', async (errno) => {
      tap.lieAt({ text: 'UPDATE', instead: 'ROLLBACK', errno });
      await expect(orderAround(RAISE, RAISE)).rejects.toMatchObject({ code: 'UNIT_DOOMED', retryable: true, cause: { errno } });
      expect(await committed()).toEqual([['stock'], [], 0]);
    });

    it.each([
      'CREATE TABLE other (id INT)',
      'ALTER TABLE orders ADD COLUMN note INT',
      'TRUNCATE TABLE orders',
      'COMMIT',
      'SET autocommit = 0',
    ])('%s and a BEGIN after it are not sent, nor is what follows', async (sql) => {
      await expect(orderAround(sql, 'BEGIN', RAISE)).rejects.toMatchObject({ code: 'UNIT_DOOMED', details: { half: false } });
      expect(tap.statements.map((sent) => sent.split(' ', 2).join(' '))).toEqual(['START TRANSACTION', 'INSERT INTO', 'ROLLBACK']);
      expect(await committed()).toEqual([['stock'], [], 0]);
    });

    it('DDL and BEGIN inside a procedure are a commit half-way: it is said, and nothing is committed after them', async () => {
      const half = {
        code: 'UNIT_DOOMED',
        retryable: false,
        details: { half: true },
        message: expect.stringContaining('may be committed already'),
      };
      await expect(orderAround('CALL ddl_then_begin()', RAISE)).rejects.toMatchObject(half);
      expect(await committed()).toEqual([['a', 'stock'], [], 0]);
    });
  });
});

// TypeORM's are in typeorm-doom.test.ts: each waits a second.
describe.each(SUBJECTS.filter(([name]) => name.startsWith('mysql2')))('with %s', (_name, start) => {
  it('a real 1205 dooms, and with continue only its statement is undone', async () => {
    const [dooming, continuing] = await Promise.all([start(), start({ outbox: { onLockTimeout: 'continue' } })]);
    const raise = async (subject: Subject): Promise<unknown> => {
      const other = await subject.database.connect();
      await other.query("INSERT INTO orders VALUES ('stock', 0)");
      await other.query('START TRANSACTION');
      await other.query(RAISE);
      try {
        return await subject.outbox.transaction(async (tx) => {
          await subject.query('SET innodb_lock_wait_timeout = 1');
          await subject.place('a');
          tx.add(Placed, { id: 'a' });
          await expect(subject.query(RAISE)).rejects.toMatchObject({ errno: 1205 });
          return 'continued';
        });
      } catch (error) {
        return (error as { code: string }).code;
      } finally {
        await other.end();
      }
    };
    try {
      expect(await Promise.all([raise(dooming), raise(continuing)])).toEqual(['UNIT_DOOMED', 'continued']);
      expect([await dooming.database.orders(), await dooming.database.events()]).toEqual([['stock'], []]);
      expect([await continuing.database.orders(), await continuing.database.events()]).toEqual([['a', 'stock'], ['a']]);
    } finally {
      await Promise.all([dooming.close(), continuing.close()]);
    }
  });
});
