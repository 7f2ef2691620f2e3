// Callbacks and listeners of the client run in the transaction of whoever asked, not in that of whoever opened the connection.
import { once } from 'node:events';
import { createOutbox } from '@txbox/outbox/mysql2';
import { type Pool as CallbackPool, createPool as createCallbackPool } from 'mysql2';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LANES, Placed, SERVERS, startService } from './lane.ts';
import { type PoolService, startPoolService } from './mysql2-lane.ts';

type Answer = (error: unknown) => void;

/** `query` of a callback pool, of which the answer is awaited inside the callback. */
function asked(pool: CallbackPool, sql: string, then: () => Promise<void> | void): Promise<void> {
  return new Promise((resolve, reject) => {
    const answer: Answer = (error) => {
      if (error) reject(error);
      else Promise.resolve().then(then).then(resolve, reject);
    };
    pool.query(sql, answer);
  });
}

describe.each(SERVERS)('with a callback pool on %s', (...server) => {
  let service: PoolService;
  let pool: CallbackPool;
  beforeAll(async () => {
    service = await startPoolService(server, 'callback', { pool: { connectionLimit: 4 } });
    pool = service.given as CallbackPool;
  });
  afterAll(() => service.close());
  beforeEach(() => service.database.clear());
  const committed = async () => [await service.database.orders(), await service.database.events()];

  /** `work` in a transaction that rolls back, and in one that commits. */
  async function bothWays(work: () => Promise<void>, orders: string[], events: string[]): Promise<void> {
    const { outbox } = service;
    const declined = outbox.transaction(async () => {
      await work();
      throw new Error('declined');
    });
    await expect(declined).rejects.toThrow('declined');
    expect(await committed()).toEqual([[], []]);
    await outbox.transaction(work);
    expect(await committed()).toEqual([orders, events]);
  }

  it('a callback takes part in the transaction', () =>
    bothWays(
      () =>
        asked(pool, "INSERT INTO orders VALUES ('a', 1)", () =>
          asked(pool, "INSERT INTO orders VALUES ('b', 1)", () => void service.outbox.add(Placed, { id: 'b' })),
        ),
      ['a', 'b'],
      ['b'],
    ));

  it('so do listeners and readers of streams', () =>
    bothWays(
      async () => {
        const inserted: Promise<void>[] = [];
        const rows = pool.query("SELECT 'x' AS id UNION ALL SELECT 'y'").stream();
        rows.on('data', ({ id }: { id: string }) => {
          service.outbox.add(Placed, { id });
          inserted.push(asked(pool, `INSERT INTO orders VALUES ('${id}', 1)`, () => undefined));
        });
        await once(rows, 'end');
        const query = pool.query("SELECT 'z' AS id");
        query.on('result', () => void service.outbox.add(Placed, { id: 'z' }));
        await once(query, 'end');
        await Promise.all(inserted);
      },
      ['x', 'y'],
      ['x', 'y', 'z'],
    ));

  it("a connection that was opened in one request's transaction serves the next request outside of it", async () => {
    const other = createCallbackPool({ uri: service.database.url, connectionLimit: 1 });
    const outbox = createOutbox({ pool: other, name: 'other' });
    try {
      const declined = service.outbox.transaction(async () => {
        await asked(other, 'SELECT 1', () => undefined);
        await Promise.reject(new Error('declined'));
      });
      await expect(declined).rejects.toThrow('declined');
      await asked(other, 'SELECT 1', () => asked(pool, "INSERT INTO orders VALUES ('r2', 1)", () => undefined));
      expect(await service.database.orders()).toEqual(['r2']);
    } finally {
      await outbox.close();
      await other.promise().end();
    }
  });
});

describe.each(LANES)('%s', (_name, server, typeorm) => {
  it('takes part in the transaction in the reader of a stream', async () => {
    const { outbox, orders, dataSource, database, close } = await startService(server, typeorm);
    try {
      await database.admin.query("INSERT INTO orders VALUES ('a', 1), ('b', 1)");
      const declined = outbox.transaction(async () => {
        const inserted: Promise<unknown>[] = [];
        const rows = await orders.createQueryBuilder('o').select('o.id', 'id').stream();
        rows.on('data', (row) => {
          const { id } = row as unknown as { id: string };
          outbox.add(Placed, { id });
          inserted.push(dataSource.query('INSERT INTO orders VALUES (?, 2)', [`${id}2`]));
        });
        await once(rows, 'end');
        await Promise.all(inserted);
        throw new Error('declined');
      });
      await expect(declined).rejects.toThrow('declined');
      expect([await database.orders(), await database.events()]).toEqual([['a', 'b'], []]);
    } finally {
      await close();
    }
  });

  it('addTo asks the server whether the transaction is still open after a swallowed deadlock', async () => {
    const { outbox, dataSource, database, close } = await startService(server, typeorm);
    const other = await database.connect();
    try {
      await database.admin.query("INSERT INTO orders VALUES ('a', 0), ('b', 0)");
      const ghost = dataSource.transaction(async (manager) => {
        // The lighter of both is the victim.
        await other.query('START TRANSACTION');
        for (let n = 0; n < 50; n += 1) await other.query('INSERT INTO orders VALUES (?, 0)', [`heavy${n}`]);
        await other.query("UPDATE orders SET amount = 9 WHERE id = 'b'");
        await manager.query("UPDATE orders SET amount = 1 WHERE id = 'a'");
        const crossing = other.query("UPDATE orders SET amount = 9 WHERE id = 'a'");
        await expect(manager.query("UPDATE orders SET amount = 1 WHERE id = 'b'")).rejects.toMatchObject({ errno: 1213 });
        await crossing;
        await other.query('ROLLBACK');
        await outbox.addTo(manager, Placed, { id: 'ghost' });
      });
      await expect(ghost).rejects.toMatchObject({ code: 'NO_OPEN_TRANSACTION' });
      expect(await database.events()).toEqual([]);
    } finally {
      await other.end();
      await close();
    }
  });
});
