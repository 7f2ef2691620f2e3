import type { Connection, PoolConnection, RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Placed, untilWaiting } from './lane.ts';
import { POOL_LANES, type PoolService, place, startPoolService } from './mysql2-lane.ts';
import { WireTap } from './wire-tap.ts';

describe.each(POOL_LANES)('a transaction of a %s', (_name, server, flavour) => {
  let service: PoolService;
  let other: Connection;
  let tap: WireTap;
  beforeAll(async () => {
    service = await startPoolService(server, flavour, {
      outbox: { wake: false },
      url: async (url) => {
        tap = await WireTap.start(url);
        return tap.urlOf(url);
      },
    });
    await service.outbox.transaction(async (tx) => void tx.add(Placed, { id: 'first' }));
    other = await service.database.connect();
  });
  afterAll(async () => {
    await other.end();
    await service.close();
    await tap[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await service.database.clear();
    tap.statements.length = 0;
  });

  const committed = async (): Promise<[string[], string[]]> => [await service.database.orders(), await service.database.events()];

  /** Makes `connection` the victim of a deadlock, in which it has `pipelined` waiting behind the statement that fails. */
  async function deadlock(connection: PoolConnection, pipelined: readonly string[] = []): Promise<unknown[]> {
    const { admin } = service.database;
    await other.query('START TRANSACTION');
    for (let n = 0; n < 50; n += 1) await place(other, `heavy${n}`);
    await other.query("UPDATE orders SET amount = 9 WHERE id = 'b'");
    await connection.query("UPDATE orders SET amount = 1 WHERE id = 'a'");
    const crossing = other.query("UPDATE orders SET amount = 9 WHERE id = 'a'");
    await untilWaiting(admin, other.threadId);
    const sent = ["UPDATE orders SET amount = 1 WHERE id = 'b'", ...pipelined].map((sql) => connection.query(sql));
    const outcomes = await Promise.allSettled(sent);
    await crossing;
    await other.query('ROLLBACK');
    return outcomes.map((outcome) => (outcome.status === 'rejected' ? (outcome.reason as { code: unknown }).code : 'ok'));
  }

  describe('after a swallowed deadlock', () => {
    beforeEach(async () => {
      await service.database.admin.query("INSERT INTO orders VALUES ('a', 0), ('b', 0), ('c', 0)");
    });

    it('sends nothing more, neither later nor from the queue, and publishes nothing', async () => {
      const { outbox, pool, database } = service;
      await expect(
        outbox.transaction(async (tx) => {
          tx.add(Placed, { id: 'ghost' });
          expect(
            await deadlock(tx.connection, ["UPDATE orders SET amount = 7 WHERE id = 'c'", "INSERT INTO orders VALUES ('d', 7)"]),
          ).toEqual(['ER_LOCK_DEADLOCK', 'UNIT_DOOMED', 'UNIT_DOOMED']);
          expect(tx.signal.aborted).toBe(true);
          await expect(place(tx.connection, 'e')).rejects.toMatchObject({ code: 'UNIT_DOOMED' });
          await expect(tx.connection.execute("INSERT INTO orders VALUES ('f', 1)")).rejects.toMatchObject({ code: 'UNIT_DOOMED' });
          await expect(place(pool, 'g')).rejects.toMatchObject({ code: 'UNIT_DOOMED' });
        }),
      ).rejects.toMatchObject({ code: 'UNIT_DOOMED', retryable: true, message: expect.stringContaining('deadlock') });
      expect(await committed()).toEqual([['a', 'b', 'c'], []]);
      expect(await database.amountOf('c')).toBe(0);
    });

    it('runs again as a whole with retry', async () => {
      const { outbox } = service;
      const attempts: number[] = [];
      await outbox.transaction({ retry: { maxAttempts: 3 } }, async (tx) => {
        attempts.push(tx.attempt);
        tx.add(Placed, { id: `attempt${tx.attempt}` });
        if (tx.attempt === 1) await deadlock(tx.connection);
      });
      expect(attempts).toEqual([1, 2]);
      expect((await committed())[1]).toEqual(['attempt2']);
    });
  });

  it.each(['COMMIT', 'ROLLBACK', 'BEGIN', 'CREATE TABLE other (id INT)', 'ANALYZE TABLE orders', 'SET autocommit = 0'])(
    'does not send %s, and is doomed',
    async (sql) => {
      const { outbox } = service;
      await expect(
        outbox.transaction(async (tx) => {
          await place(tx.connection, 'a');
          tx.add(Placed, { id: 'a' });
          await expect(tx.connection.query(sql)).rejects.toMatchObject({ code: 'UNIT_DOOMED' });
        }),
      ).rejects.toMatchObject({ code: 'UNIT_DOOMED' });
      expect(await committed()).toEqual([[], []]);
      // The ROLLBACK is ours.
      expect(tap.statements).toEqual(['START TRANSACTION', expect.stringContaining('INSERT'), 'ROLLBACK']);
    },
  );

  it('is doomed by a commit inside a procedure', async () => {
    const { outbox, database } = service;
    await database.admin.query('CREATE PROCEDURE sly() COMMIT');
    await expect(
      outbox.transaction(async (tx) => {
        await tx.connection.query('CALL sly()');
        tx.add(Placed, { id: 'ghost' });
      }),
    ).rejects.toMatchObject({ code: 'UNIT_DOOMED', message: expect.stringContaining('implicit commit') });
    expect(await committed()).toEqual([[], []]);
    await database.admin.query('DROP PROCEDURE sly');
  });

  it('is refused on a session with autocommit off, which does not go back to the pool', async () => {
    const service = await startPoolService(server, flavour, { pool: { connectionLimit: 1 } });
    const { outbox, pool, database } = service;
    try {
      await pool.query('SET autocommit = 0');
      await expect(outbox.transaction(async () => undefined)).rejects.toMatchObject({ code: 'AUTOCOMMIT_OFF' });
      await outbox.transaction((tx) => place(tx.connection, 'a'));
      expect(await database.orders()).toEqual(['a']);
    } finally {
      await service.close();
    }
  });

  it('says so when its connection is killed in the middle, and the pool recovers', async () => {
    const { outbox, database } = service;
    await expect(
      outbox.transaction(async (tx) => {
        await place(tx.connection, 'a');
        tx.add(Placed, { id: 'a' });
        const [[row]] = await tx.connection.query<RowDataPacket[]>('SELECT CONNECTION_ID() AS id');
        await database.admin.query(`KILL ${row?.['id']}`);
        await expect(place(tx.connection, 'b')).rejects.toThrow();
        await expect(place(tx.connection, 'c')).rejects.toThrow();
      }),
    ).rejects.toMatchObject({ code: 'UNIT_DOOMED', message: expect.stringContaining('connection was lost') });
    expect(await committed()).toEqual([[], []]);
    await outbox.transaction((tx) => place(tx.connection, 'd'));
    expect(await database.orders()).toEqual(['d']);
  });

  it('is doomed by a query that the driver stopped waiting for, and its connection does not come back', async () => {
    const { outbox } = service;
    const ids: unknown[] = [];
    const idOf = async (connection: PoolConnection): Promise<void> => {
      const [[row]] = await connection.query<RowDataPacket[]>('SELECT CONNECTION_ID() AS id');
      ids.push(row?.['id']);
    };
    await expect(
      outbox.transaction(async (tx) => {
        await idOf(tx.connection);
        await place(tx.connection, 'a');
        tx.add(Placed, { id: 'a' });
        await expect(tx.connection.query({ sql: 'SELECT SLEEP(1)', timeout: 20 })).rejects.toMatchObject({
          code: 'PROTOCOL_SEQUENCE_TIMEOUT',
        });
      }),
    ).rejects.toMatchObject({ code: 'UNIT_DOOMED' });
    await outbox.transaction((tx) => idOf(tx.connection));
    expect(ids[0]).not.toBe(ids[1]);
    await expect.poll(committed).toEqual([[], []]);
  });

  describe('when the connection is lost', () => {
    it.each([
      ['statement', [], []],
      ['answer', ['a'], ['a']],
    ] as const)('with the %s of COMMIT, the outcome is called unknown, and nothing runs again', async (lose, orders, events) => {
      const { outbox, database } = service;
      tap.cutAt({ text: 'COMMIT', lose });
      const attempts: number[] = [];
      await expect(
        outbox.transaction({ retry: { maxAttempts: 3 } }, async (tx) => {
          attempts.push(tx.attempt);
          await place(tx.connection, 'a');
          tx.add(Placed, { id: 'a' });
        }),
      ).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN', retryable: false });
      expect(attempts).toEqual([1]);
      await expect.poll(() => database.orders()).toEqual(orders);
      expect(await database.events()).toEqual(events);
    });

    it.each(['statement', 'answer'] as const)('with the %s of the INSERT of the events, everything is rolled back', async (lose) => {
      const { outbox } = service;
      tap.cutAt({ text: 'INSERT INTO `txbox_outbox`', lose });
      await expect(
        outbox.transaction(async (tx) => {
          await place(tx.connection, 'a');
          tx.add(Placed, { id: 'a' });
        }),
      ).rejects.toThrow();
      expect(await committed()).toEqual([[], []]);
    });

    it('at BEGIN, the database is called unavailable', async () => {
      const { outbox } = service;
      tap.cutAt({ text: 'START TRANSACTION', lose: 'statement' });
      await expect(outbox.transaction(async () => undefined)).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE', retryable: true });
      await outbox.transaction(async () => undefined);
    });
  });

  it('has one statement more with events than without, the last before COMMIT', async () => {
    const { outbox } = service;
    await outbox.transaction(async (tx) => {
      for (let n = 0; n < 100; n += 1) tx.add(Placed, { id: `e${n}` });
      await place(tx.connection, 'a');
    });
    expect(tap.statements.map((sql) => sql.slice(0, 17))).toEqual([
      'START TRANSACTION',
      'INSERT INTO order',
      'INSERT INTO `txbo',
      'COMMIT',
    ]);
  });
});
