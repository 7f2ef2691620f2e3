import type { Connection } from 'mysql2/promise';
import type { EntityManager } from 'typeorm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FEW_LANES, Placed, type Service, startService, untilWaiting } from './lane.ts';

describe.each(FEW_LANES)('%s', (_name, server, typeorm) => {
  let service: Service;
  let other: Connection;
  beforeAll(async () => {
    service = await startService(server, typeorm);
    other = await service.database.connect();
  });
  afterAll(async () => {
    await other.end();
    await service.close();
  });
  beforeEach(() => service.database.clear());

  /** Makes the transaction of `manager` the victim of a deadlock; the error is swallowed. */
  async function swallowDeadlock(manager: EntityManager): Promise<void> {
    const { admin } = service.database;
    await other.query('START TRANSACTION');
    for (let n = 0; n < 50; n += 1) await other.query('INSERT INTO orders VALUES (?, 0)', [`heavy${n}`]);
    await other.query("UPDATE orders SET amount = 9 WHERE id = 'b'");
    await manager.query("UPDATE orders SET amount = 1 WHERE id = 'a'");
    const crossing = other.query("UPDATE orders SET amount = 9 WHERE id = 'a'");
    await untilWaiting(admin, other.threadId);
    await expect(manager.query("UPDATE orders SET amount = 1 WHERE id = 'b'")).rejects.toMatchObject({ errno: 1213 });
    await crossing;
    await other.query('ROLLBACK');
  }

  async function threeOrders(): Promise<void> {
    await service.database.admin.query("INSERT INTO orders VALUES ('a', 0), ('b', 0), ('c', 0)");
  }

  describe('after a swallowed deadlock', () => {
    it('the transaction does not commit, and no event is published', async () => {
      const { outbox, database } = service;
      await threeOrders();
      await expect(
        outbox.transaction(async (tx) => {
          await swallowDeadlock(tx.manager);
          tx.add(Placed, { id: 'ghost' });
        }),
      ).rejects.toMatchObject({ code: 'UNIT_DOOMED', retryable: true, message: expect.stringContaining('deadlock') });
      expect(await database.events()).toEqual([]);
    });

    it('no further statement is sent, since it would commit by itself', async () => {
      const { outbox, orders, database } = service;
      await threeOrders();
      await expect(
        outbox.transaction(async (tx) => {
          await swallowDeadlock(tx.manager);
          expect(tx.signal.aborted).toBe(true);
          await expect(tx.manager.query("UPDATE orders SET amount = 7 WHERE id = 'c'")).rejects.toMatchObject({ code: 'UNIT_DOOMED' });
          await expect(orders.insert({ id: 'd', amount: 7 })).rejects.toMatchObject({ code: 'UNIT_DOOMED' });
        }),
      ).rejects.toMatchObject({ code: 'UNIT_DOOMED' });
      expect(await database.orders()).toEqual(['a', 'b', 'c']);
      expect(await database.amountOf('c')).toBe(0);
    });

    it('no statement is sent that was already handed over', async () => {
      const { outbox, database } = service;
      await threeOrders();
      await expect(
        outbox.transaction(async (tx) => {
          await other.query('START TRANSACTION');
          for (let n = 0; n < 50; n += 1) await other.query('INSERT INTO orders VALUES (?, 0)', [`heavy${n}`]);
          await other.query("UPDATE orders SET amount = 9 WHERE id = 'b'");
          await tx.manager.query("UPDATE orders SET amount = 1 WHERE id = 'a'");
          const crossing = other.query("UPDATE orders SET amount = 9 WHERE id = 'a'");
          await untilWaiting(database.admin, other.threadId);
          const outcomes = await Promise.allSettled([
            tx.manager.query("UPDATE orders SET amount = 1 WHERE id = 'b'"),
            tx.manager.query("UPDATE orders SET amount = 7 WHERE id = 'c'"),
            tx.manager.query("INSERT INTO orders VALUES ('d', 7)"),
          ]);
          expect(outcomes.map((outcome) => (outcome as PromiseRejectedResult).reason.code)).toEqual([
            'ER_LOCK_DEADLOCK',
            'UNIT_DOOMED',
            'UNIT_DOOMED',
          ]);
          await crossing;
          await other.query('ROLLBACK');
        }),
      ).rejects.toMatchObject({ code: 'UNIT_DOOMED' });
      expect(await database.orders()).toEqual(['a', 'b', 'c']);
      expect(await database.amountOf('c')).toBe(0);
    });

    it('the whole function runs again with retry, and commits once', async () => {
      const { outbox, database } = service;
      await threeOrders();
      const attempts: number[] = [];
      await outbox.transaction({ retry: { maxAttempts: 3 } }, async (tx) => {
        attempts.push(tx.attempt);
        tx.add(Placed, { id: `attempt${tx.attempt}` });
        if (tx.attempt === 1) await swallowDeadlock(tx.manager);
        await tx.manager.query("UPDATE orders SET amount = 5 WHERE id = 'a'").catch(() => undefined);
      });
      expect(attempts).toEqual([1, 2]);
      expect(await database.events()).toEqual(['attempt2']);
    });
  });

  describe('after a lock wait time-out', () => {
    beforeEach(async () => {
      await threeOrders();
      await other.query('START TRANSACTION');
      await other.query("UPDATE orders SET amount = 9 WHERE id = 'b'");
    });
    afterAll(() => other.query('ROLLBACK'));

    it('the transaction is doomed', async () => {
      const { outbox, database } = service;
      await expect(
        outbox.transaction(async (tx) => {
          await tx.manager.query('SET innodb_lock_wait_timeout = 1');
          await tx.manager.query("UPDATE orders SET amount = 1 WHERE id = 'a'");
          await expect(tx.manager.query("UPDATE orders SET amount = 1 WHERE id = 'b'")).rejects.toMatchObject({ errno: 1205 });
          tx.add(Placed, { id: 'a' });
        }),
      ).rejects.toMatchObject({ code: 'UNIT_DOOMED', message: expect.stringContaining('onLockTimeout') });
      await other.query('ROLLBACK');
      expect([await database.amountOf('a'), await database.events()]).toEqual([0, []]);
    });

    it('a refused NOWAIT dooms nothing', async () => {
      const { outbox, database } = service;
      await outbox.transaction(async (tx) => {
        await tx.manager.query("UPDATE orders SET amount = 1 WHERE id = 'a'");
        await expect(tx.manager.query("SELECT * FROM orders WHERE id = 'b' FOR UPDATE NOWAIT")).rejects.toThrow();
        tx.add(Placed, { id: 'a' });
      });
      await other.query('ROLLBACK');
      expect([await database.amountOf('a'), await database.events()]).toEqual([1, ['a']]);
    });
  });

  describe('a statement that would end the transaction or commit it half-way is not sent, and dooms:', () => {
    it.each([
      'COMMIT',
      '/*! COMMIT */',
      '/* why not */ COMMIT',
      'ROLLBACK',
      'BEGIN',
      'START TRANSACTION',
      'COMMIT AND CHAIN',
      'CREATE TABLE other (id INT)',
      'ALTER TABLE orders ADD COLUMN note INT',
      'TRUNCATE TABLE orders',
      'ANALYZE TABLE orders',
      'OPTIMIZE TABLE orders',
      'FLUSH TABLES',
      'LOCK TABLES orders WRITE',
      'GRANT SELECT ON *.* TO test',
      'SET autocommit = 0',
      'SET @a = 1, autocommit = 0',
      "XA START 'x'",
    ])('%s', async (sql) => {
      const { outbox, database } = service;
      await expect(
        outbox.transaction(async (tx) => {
          await tx.manager.insert('Order', { id: 'a', amount: 1 });
          await expect(tx.manager.query(sql)).rejects.toMatchObject({ code: 'UNIT_DOOMED' });
          tx.add(Placed, { id: 'a' });
        }),
      ).rejects.toMatchObject({ code: 'UNIT_DOOMED' });
      expect([await database.orders(), await database.events()]).toEqual([[], []]);
    });
  });

  it.each([
    'CREATE TEMPORARY TABLE scratch (id INT)',
    'DROP TEMPORARY TABLE IF EXISTS scratch',
    "SET @word = 'autocommit'",
    'SELECT 0 AS serverStatus',
  ])('a statement that ends nothing dooms nothing: %s', async (sql) => {
    const { outbox, database } = service;
    await outbox.transaction(async (tx) => {
      // MySQL 5.7 and 8.0 with GTIDs refuse some of them in a transaction, which dooms nothing either.
      await tx.manager.query(sql).catch((error: Error) => expect(error.message).toContain('GTID consistency'));
      tx.add(Placed, { id: 'a' });
    });
    expect(await database.events()).toEqual(['a']);
  });

  it('is doomed by a commit inside a procedure, before the events are inserted', async () => {
    const { outbox, database } = service;
    await database.admin.query('CREATE PROCEDURE sly() COMMIT');
    await expect(
      outbox.transaction(async (tx) => {
        await tx.manager.query('CALL sly()');
        tx.add(Placed, { id: 'ghost' });
        await expect(tx.manager.query("INSERT INTO orders VALUES ('late', 1)")).rejects.toMatchObject({ code: 'UNIT_DOOMED' });
      }),
    ).rejects.toMatchObject({ code: 'UNIT_DOOMED', message: expect.stringContaining('implicit commit') });
    expect([await database.orders(), await database.events()]).toEqual([[], []]);
    await database.admin.query('DROP PROCEDURE sly');
  });

  it('says so when the connection is killed in mid-transaction, and the pool recovers', async () => {
    const { outbox, orders, database } = service;
    await expect(
      outbox.transaction(async (tx) => {
        await tx.manager.insert('Order', { id: 'a', amount: 1 });
        tx.add(Placed, { id: 'a' });
        const [{ id }] = (await tx.manager.query('SELECT CONNECTION_ID() AS id')) as [{ id: number }];
        await database.admin.query(`KILL ${id}`);
        await expect(orders.insert({ id: 'b', amount: 1 })).rejects.toThrow();
        await expect(orders.count()).rejects.toMatchObject({ code: 'UNIT_DOOMED' });
      }),
    ).rejects.toMatchObject({ code: 'UNIT_DOOMED', message: expect.stringContaining('connection was lost') });
    expect([await database.orders(), await database.events()]).toEqual([[], []]);
    await outbox.transaction(async () => {
      await orders.insert({ id: 'c', amount: 1 });
    });
    expect(await database.orders()).toEqual(['c']);
  });
});

describe.each(FEW_LANES)('settings of sessions on %s', (_name, server, typeorm) => {
  it("goes on after a lock time-out with onLockTimeout: 'continue', where only the statement was undone", async () => {
    const service = await startService(server, typeorm, { outbox: { onLockTimeout: 'continue' } });
    const { outbox, database } = service;
    const other = await database.connect();
    try {
      await database.admin.query("INSERT INTO orders VALUES ('a', 0), ('b', 0)");
      await other.query('START TRANSACTION');
      await other.query("UPDATE orders SET amount = 9 WHERE id = 'b'");
      await outbox.transaction(async (tx) => {
        await tx.manager.query('SET innodb_lock_wait_timeout = 1');
        await tx.manager.query("UPDATE orders SET amount = 1 WHERE id = 'a'");
        await expect(tx.manager.query("UPDATE orders SET amount = 1 WHERE id = 'b'")).rejects.toMatchObject({ errno: 1205 });
        tx.add(Placed, { id: 'a' });
      });
      await other.query('ROLLBACK');
      expect([await database.amountOf('a'), await database.events()]).toEqual([1, ['a']]);
    } finally {
      await other.end();
      await service.close();
    }
  });

  it('refuses a session with autocommit off, and never gives it back to the pool', async () => {
    const service = await startService(server, typeorm, { dataSource: { extra: { connectionLimit: 1 } } });
    const { outbox, dataSource, database } = service;
    try {
      await dataSource.query('SET autocommit = 0');
      await expect(outbox.transaction(async () => undefined)).rejects.toMatchObject({ code: 'AUTOCOMMIT_OFF' });
      await outbox.transaction(async (tx) => {
        await tx.manager.insert('Order', { id: 'a', amount: 1 });
      });
      expect(await database.orders()).toEqual(['a']);
    } finally {
      await service.close();
    }
  });

  it('judges each statement of a text of several', async () => {
    const service = await startService(server, typeorm, { dataSource: { multipleStatements: true } });
    const { outbox, database } = service;
    try {
      await outbox.transaction(async (tx) => {
        await tx.manager.query("INSERT INTO orders VALUES ('a', 1); INSERT INTO orders VALUES (';COMMIT', 1)");
      });
      await expect(outbox.transaction((tx) => tx.manager.query("INSERT INTO orders VALUES ('c', 1); COMMIT; BEGIN"))).rejects.toMatchObject(
        { code: 'UNIT_DOOMED' },
      );
      expect(await database.orders()).toEqual([';COMMIT', 'a']);
    } finally {
      await service.close();
    }
  });

  it("keeps the framework's own reading right, whatever the pool makes of values", async () => {
    const service = await startService(server, typeorm, {
      dataSource: {
        bigNumberStrings: true,
        supportBigNumbers: true,
        timezone: '+09:00',
        extra: { rowsAsArray: false, decimalNumbers: true },
      },
    });
    const { outbox } = service;
    try {
      const [row] = await outbox.resource.run({}, (unit) =>
        unit.session.query(
          "SELECT CAST(5 AS SIGNED), CAST('2026-01-02 03:04:05.678901' AS DATETIME(6)), UNHEX('00ff'), CAST(1.50 AS DECIMAL(5,2)), 'x', NULL",
        ),
      );
      expect(row).toEqual([5, '2026-01-02 03:04:05.678901', Buffer.from([0, 255]), '1.50', 'x', null]);
    } finally {
      await service.close();
    }
  });
});
