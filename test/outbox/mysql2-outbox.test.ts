import { type Connection as CallbackConnection, createConnection as createCallbackConnection } from 'mysql2';
import type { RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Placed } from './lane.ts';
import { POOL_LANES, type PoolService, place, startPoolService } from './mysql2-lane.ts';

describe.each(POOL_LANES)('the outbox of a %s', (_name, server, flavour) => {
  let service: PoolService;
  beforeAll(async () => {
    service = await startPoolService(server, flavour);
  });
  afterAll(() => service.close());
  beforeEach(() => service.database.clear());

  const committed = async (): Promise<[string[], string[]]> => [await service.database.orders(), await service.database.events()];

  describe('transaction', () => {
    it('commits data and events together, in the order of add, and returns what the function returns', async () => {
      const { outbox } = service;
      const result = await outbox.transaction(async (tx) => {
        tx.add(Placed, { id: 'first' });
        await place(tx.connection, 'a');
        outbox.add(Placed, { id: 'second' });
        expect(await committed()).toEqual([[], []]);
        return 7;
      });
      expect(result).toBe(7);
      expect(await committed()).toEqual([['a'], ['first', 'second']]);
    });

    it('leaves nothing after a rollback', async () => {
      const { outbox } = service;
      await expect(
        outbox.transaction(async (tx) => {
          await place(tx.connection, 'a');
          tx.add(Placed, { id: 'a' });
          throw new Error('declined');
        }),
      ).rejects.toThrow('declined');
      expect(await committed()).toEqual([[], []]);
    });

    it('takes prepared statements, named ones and streams', async () => {
      const { outbox } = service;
      await outbox.transaction(async (tx) => {
        await tx.connection.execute('INSERT INTO orders VALUES (?, ?)', ['a', 1]);
        const statement = await tx.connection.prepare('INSERT INTO orders VALUES (?, ?)');
        await statement.execute(['b', 2]);
        await statement.close();
        const seen: string[] = [];
        const callbackFlavour = tx.connection.connection as unknown as CallbackConnection;
        for await (const row of callbackFlavour.query('SELECT id FROM orders ORDER BY id').stream()) seen.push(row.id as string);
        expect(seen).toEqual(['a', 'b']);
        tx.add(Placed, { id: 'a' });
      });
      expect(await committed()).toEqual([['a', 'b'], ['a']]);
    });

    it('joins the open one, and keeps concurrent ones apart', async () => {
      const { outbox } = service;
      const outcomes = await Promise.allSettled(
        Array.from({ length: 12 }, (_, n) =>
          outbox.transaction(async (tx) => {
            await place(tx.connection, `o${n}`);
            await outbox.transaction(async (inner) => {
              expect(inner.connection).toBe(tx.connection);
              inner.add(Placed, { id: `o${n}` });
            });
            if (n % 3 === 0) throw new Error('declined');
          }),
        ),
      );
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(8);
      const [orders, events] = await committed();
      expect(orders).toHaveLength(8);
      expect(events.sort()).toEqual(orders);
    });

    it('takes the isolation level that was asked for, and refuses a stricter one inside', async () => {
      const { outbox, database } = service;
      const seen: number[] = [];
      for (const isolationLevel of ['READ COMMITTED', 'REPEATABLE READ'] as const) {
        await database.clear();
        await outbox.transaction({ isolationLevel }, async (tx) => {
          await tx.connection.query('SELECT * FROM orders');
          await place(database.admin, 'between');
          const [rows] = await tx.connection.query<RowDataPacket[]>('SELECT * FROM orders');
          seen.push(rows.length);
          await expect(outbox.transaction({ isolationLevel: 'SERIALIZABLE' }, async () => undefined)).rejects.toMatchObject({
            code: 'ISOLATION_TOO_WEAK',
          });
        });
      }
      expect(seen).toEqual([1, 0]);
    });

    it('takes events along when a savepoint rolls back', async () => {
      const { outbox } = service;
      await outbox.transaction(async (tx) => {
        tx.add(Placed, { id: 'kept' });
        await tx.connection.query('SAVEPOINT here');
        await place(tx.connection, 'undone');
        tx.add(Placed, { id: 'undone' });
        await tx.connection.query('ROLLBACK TO SAVEPOINT here');
      });
      expect(await committed()).toEqual([[], ['kept']]);
    });

    it.each(['beginTransaction', 'commit', 'rollback', 'release', 'destroy'] as const)(
      'is doomed by %s() of its connection',
      async (name) => {
        const { outbox } = service;
        await expect(
          outbox.transaction(async (tx) => {
            await place(tx.connection, 'a');
            tx.add(Placed, { id: 'a' });
            expect(() => tx.connection[name]()).toThrowError(expect.objectContaining({ code: 'UNIT_DOOMED' }));
          }),
        ).rejects.toMatchObject({ code: 'UNIT_DOOMED', message: expect.stringContaining(name) });
        expect(await committed()).toEqual([[], []]);
      },
    );

    it('keeps its connection from working after the end', async () => {
      const { outbox } = service;
      let kept: { query(sql: string): unknown } | undefined;
      await outbox.transaction(async (tx) => {
        kept = tx.connection;
      });
      expect(() => kept?.query("INSERT INTO orders VALUES ('late', 1)")).toThrowError(expect.objectContaining({ code: 'UNIT_CLOSED' }));
      expect(await committed()).toEqual([[], []]);
    });

    it('runs afterCommit after COMMIT, outside of it', async () => {
      const { outbox, pool } = service;
      const after = Promise.withResolvers<unknown>();
      await outbox.transaction(async (tx) => {
        tx.add(Placed, { id: 'a' });
        tx.afterCommit(() => after.resolve(place(pool, 'after')));
      });
      await after.promise;
      expect(await committed()).toEqual([['after'], ['a']]);
    });
  });

  it('is one resource, whichever flavour of the pool is given', async () => {
    const { outbox, pool } = service;
    const { createOutbox } = await import('@txbox/outbox/mysql2');
    const other = createOutbox({ pool: flavour === 'promise' ? (pool.pool as never) : pool, name: 'other', wake: false });
    expect(other.resource).toBe(outbox.resource);
    await other.close();
  });

  describe('addTo', () => {
    it('writes at once into a transaction of a connection of either flavour', async () => {
      const { outbox, database, pool } = service;
      const connection = await pool.getConnection();
      await connection.beginTransaction();
      await place(connection, 'a');
      expect(await outbox.addTo(connection, Placed, { id: 'a' })).toMatch(/^[0-9a-f-]{36}$/);
      expect(await outbox.addTo(connection.connection as unknown as CallbackConnection, Placed, { id: 'b' })).toMatch(/^[0-9a-f-]{36}$/);
      expect(await committed()).toEqual([[], []]);
      await connection.commit();
      connection.release();
      expect(await committed()).toEqual([['a'], ['a', 'b']]);

      const raw = createCallbackConnection(database.url);
      await raw.promise().beginTransaction();
      await outbox.addTo(raw, Placed, { id: 'undone' });
      await raw.promise().rollback();
      await raw.promise().end();
      expect(await database.events()).toEqual(['a', 'b']);
    });

    it('refuses a connection without an open transaction, and what is no connection', async () => {
      const { outbox, pool, given, database } = service;
      const connection = await pool.getConnection();
      await expect(outbox.addTo(connection, Placed, { id: 'a' })).rejects.toMatchObject({ code: 'NO_OPEN_TRANSACTION' });
      await connection.beginTransaction();
      await connection.rollback();
      await expect(outbox.addTo(connection.connection as unknown as CallbackConnection, Placed, { id: 'a' })).rejects.toMatchObject({
        code: 'NO_OPEN_TRANSACTION',
      });
      connection.release();
      for (const wrong of [pool, given, undefined, null, 7, {}]) {
        await expect(outbox.addTo(wrong as never, Placed, { id: 'a' })).rejects.toMatchObject({ code: 'UNSUPPORTED_HANDLE' });
      }
      expect(await database.events()).toEqual([]);
    });
  });
});
