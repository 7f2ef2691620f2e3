import type { Pool as CallbackPool } from 'mysql2';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Placed } from './lane.ts';
import { POOL_LANES, type PoolService, place, startPoolService } from './mysql2-lane.ts';

const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'ok',
    (error: { code: unknown }) => error.code,
  );

describe.each(POOL_LANES)('plain use of a %s inside a transaction', (_name, server, flavour) => {
  let service: PoolService;
  beforeAll(async () => {
    service = await startPoolService(server, flavour);
  });
  afterAll(() => service.close());
  beforeEach(() => service.database.clear());

  /** Runs `work` in a transaction that commits, and in one that rolls back; both outcomes must hold for everything it wrote. */
  async function commitsAndRollsBack(work: () => Promise<unknown>): Promise<void> {
    const { outbox, database } = service;
    await expect(
      outbox.transaction(async () => {
        await work();
        throw new Error('declined');
      }),
    ).rejects.toThrow('declined');
    expect(await database.orders()).toEqual([]);
    await outbox.transaction(async (tx) => {
      await work();
      tx.add(Placed, { id: 'a' });
      expect(await database.orders()).toEqual([]);
    });
    expect([await database.orders(), await database.events()]).toEqual([['a'], ['a']]);
  }

  it('joins it with query()', () => commitsAndRollsBack(() => place(service.pool, 'a')));

  it('joins it with execute()', () => commitsAndRollsBack(() => service.pool.execute("INSERT INTO orders VALUES ('a', 1)")));

  it('joins it with a connection that it asks for and gives back', () =>
    commitsAndRollsBack(async () => {
      const connection = await service.pool.getConnection();
      await place(connection, 'a');
      connection.release();
      connection.release();
    }));

  it('sees what the transaction wrote, and finds its own errors', async () => {
    const { outbox, pool, database } = service;
    await outbox.transaction(async (tx) => {
      await place(tx.connection, 'a', 5);
      expect((await pool.query('SELECT amount FROM orders'))[0]).toEqual([{ amount: 5 }]);
      expect((await pool.execute('SELECT amount FROM orders WHERE id = ?', ['a']))[0]).toEqual([{ amount: 5 }]);
      expect(await codeOf(place(pool, 'a'))).toBe('ER_DUP_ENTRY');
    });
    expect(await database.orders()).toEqual(['a']);
  });

  it('may be refused a transaction of its own', async () => {
    const { outbox, pool, database } = service;
    await expect(
      outbox.transaction(async () => {
        const connection = await pool.getConnection();
        await connection.beginTransaction();
      }),
    ).rejects.toMatchObject({ code: 'UNIT_DOOMED', message: expect.stringContaining('beginTransaction') });
    expect(await database.orders()).toEqual([]);
  });

  it('stays outside with outside(), and where no transaction is', async () => {
    const { outbox, pool, database } = service;
    await place(pool, 'before');
    await expect(
      outbox.transaction(async () => {
        await outbox.outside(() => place(pool, 'log'));
        throw new Error('declined');
      }),
    ).rejects.toThrow('declined');
    expect(await database.orders()).toEqual(['before', 'log']);
  });

  it('is refused after the end, in what was not awaited', async () => {
    const { outbox, pool, database } = service;
    const over = Promise.withResolvers<void>();
    let late: Promise<unknown[]> | undefined;
    await outbox.transaction(async () => {
      late = over.promise.then(async () => [
        await codeOf(place(pool, 'query')),
        await codeOf(pool.execute("INSERT INTO orders VALUES ('execute', 1)")),
        await codeOf(pool.getConnection()),
        await codeOf(outbox.outside(() => place(pool, 'outside'))),
        await codeOf(outbox.transaction((tx) => place(tx.connection, 'new'))),
      ]);
    });
    over.resolve();
    expect(await late).toEqual(['UNIT_CLOSED', 'UNIT_CLOSED', 'UNIT_CLOSED', 'ok', 'ok']);
    expect(await database.orders()).toEqual(['new', 'outside']);
  });

  it('with more transactions than connections, gives nobody the connection of another', async () => {
    const { outbox, pool, database } = service;
    const outcomes = await Promise.allSettled(
      Array.from({ length: 24 }, (_, n) =>
        n % 4 === 0
          ? place(pool, `plain${n}`)
          : outbox.transaction(async (tx) => {
              await place(pool, `o${n}`);
              tx.add(Placed, { id: `o${n}` });
              if (n % 4 === 1) throw new Error('declined');
            }),
      ),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(18);
    const orders = await database.orders();
    expect(orders.filter((id) => id.startsWith('plain'))).toHaveLength(6);
    expect((await database.events()).sort()).toEqual(orders.filter((id) => id.startsWith('o')));
  });

  it('joins with the callback flavour, streams included', async () => {
    const { outbox, database } = service;
    const pool = service.pool.pool as unknown as CallbackPool;
    await expect(
      outbox.transaction(async () => {
        await new Promise<void>((resolve, reject) => {
          pool.query('INSERT INTO orders VALUES (?, 1)', ['a'], (error) => (error ? reject(error) : resolve()));
        });
        const seen: string[] = [];
        for await (const row of pool.query('SELECT id FROM orders').stream()) seen.push(row.id as string);
        expect(seen).toEqual(['a']);
        throw new Error('declined');
      }),
    ).rejects.toThrow('declined');
    expect(await database.orders()).toEqual([]);
  });
});

describe.each(POOL_LANES)('plainQueries of a %s', (_name, server, flavour) => {
  it("fails with 'refuse', where the transaction's connection still works, and so does outside()", async () => {
    const service = await startPoolService(server, flavour, { outbox: { plainQueries: 'refuse' } });
    const { outbox, pool, database } = service;
    try {
      await outbox.transaction(async (tx) => {
        await place(tx.connection, 'a');
        expect(await codeOf(place(pool, 'b'))).toBe('QUERY_OUTSIDE_UNIT');
        expect(await codeOf(pool.execute('SELECT 1'))).toBe('QUERY_OUTSIDE_UNIT');
        expect(await codeOf(pool.getConnection())).toBe('QUERY_OUTSIDE_UNIT');
        await outbox.outside(() => place(pool, 'log'));
      });
      expect(await database.orders()).toEqual(['a', 'log']);
    } finally {
      await service.close();
    }
  });

  it("goes to another connection with 'ignore'", async () => {
    const service = await startPoolService(server, flavour, { outbox: { plainQueries: 'ignore' } });
    const { outbox, pool, database } = service;
    try {
      await expect(
        outbox.transaction(async (tx) => {
          await place(tx.connection, 'a');
          await place(pool, 'b');
          throw new Error('declined');
        }),
      ).rejects.toThrow('declined');
      expect(await database.orders()).toEqual(['b']);
    } finally {
      await service.close();
    }
  });
});
