import { once } from 'node:events';
import { Transactional } from '@txbox/core';
import { Publishes } from '@txbox/outbox';
import type { Repository } from 'typeorm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LANES, type Order, Placed, type Service, startService } from './lane.ts';

describe.each(LANES)('%s', (_name, server, typeorm) => {
  let service: Service;
  beforeAll(async () => {
    service = await startService(server, typeorm);
  });
  afterAll(() => service.close());
  beforeEach(() => service.database.clear());

  /** Runs `work` in a transaction that commits, and in one that rolls back; both outcomes must hold for everything it wrote. */
  async function commitsAndRollsBack(work: (service: Service) => Promise<unknown>, written = ['a']): Promise<void> {
    const { outbox, database } = service;
    await expect(
      outbox.transaction(async (tx) => {
        await work(service);
        tx.add(Placed, { id: 'e' });
        throw new Error('declined');
      }),
    ).rejects.toThrow('declined');
    expect([await database.orders(), await database.events()]).toEqual([[], []]);
    await outbox.transaction(async (tx) => {
      await work(service);
      tx.add(Placed, { id: 'e' });
      expect(await database.orders()).toEqual([]);
    });
    expect([await database.orders(), await database.events()]).toEqual([written, ['e']]);
  }

  describe('inside a transaction, what takes part in it is', () => {
    it('the manager that it hands out', async () => {
      const { outbox, database } = service;
      await outbox.transaction(async (tx) => {
        await tx.manager.getRepository<Order>('Order').save({ id: 'a', amount: 1 });
        tx.add(Placed, { id: 'a' });
      });
      expect([await database.orders(), await database.events()]).toEqual([['a'], ['a']]);
    });

    it('a plain injected repository', () => commitsAndRollsBack(({ orders }) => orders.save({ id: 'a', amount: 1 })));

    it('a custom repository made by extend', () =>
      commitsAndRollsBack(({ orders }) => {
        const custom = orders.extend({
          place(this: Repository<Order>, id: string) {
            return this.insert({ id, amount: 2 });
          },
        });
        return custom.place('a');
      }));

    it('a query builder of a repository, of the DataSource, and an update by one', () =>
      commitsAndRollsBack(
        async ({ orders, dataSource }) => {
          await dataSource.createQueryBuilder().insert().into('Order').values({ id: 'a', amount: 1 }).execute();
          await orders.createQueryBuilder().insert().values({ id: 'b', amount: 1 }).execute();
          await orders.createQueryBuilder().update().set({ amount: 5 }).where({ id: 'a' }).execute();
          expect(await orders.createQueryBuilder('o').where('o.amount = 5').getCount()).toBe(1);
        },
        ['a', 'b'],
      ));

    it('dataSource.query() and dataSource.manager', () =>
      commitsAndRollsBack(
        async ({ dataSource }) => {
          await dataSource.query("INSERT INTO orders VALUES ('a', 1)");
          await dataSource.manager.insert('Order', { id: 'b', amount: 1 });
        },
        ['a', 'b'],
      ));

    it('a query runner of its own, whose release does nothing', () =>
      commitsAndRollsBack(async ({ dataSource }) => {
        const runner = dataSource.createQueryRunner();
        await runner.query("INSERT INTO orders VALUES ('a', 1)");
        await runner.release();
        expect(await dataSource.query('SELECT id FROM orders')).toEqual([{ id: 'a' }]);
      }));

    it('a nested dataSource.transaction()', () =>
      commitsAndRollsBack(({ dataSource }) => dataSource.transaction((manager) => manager.insert('Order', { id: 'a', amount: 1 }))));

    it('a stream, which sees what the transaction wrote', () =>
      commitsAndRollsBack(async ({ orders }) => {
        await orders.insert({ id: 'a', amount: 7 });
        const stream = await orders.createQueryBuilder('o').stream();
        const rows: unknown[] = [];
        stream.on('data', (row: unknown) => rows.push(row));
        await once(stream, 'end');
        expect(rows).toEqual([expect.objectContaining({ o_id: 'a' })]);
      }));

    it('outbox.manager, kept from the beginning of the process', () =>
      commitsAndRollsBack(({ outbox }) => outbox.manager.insert('Order', { id: 'a', amount: 1 })));

    it('save, remove and soft cascades through the unit of TypeORM itself', async () => {
      const { outbox, orders, database } = service;
      await outbox.transaction(async () => {
        const order = await orders.save({ id: 'a', amount: 1 });
        order.amount = 2;
        await orders.save(order);
        await orders.remove(await orders.save({ id: 'b', amount: 1 }));
      });
      expect(await database.orders()).toEqual(['a']);
      expect(await database.amountOf('a')).toBe(2);
    });
  });

  it('a lock read by a plain repository holds its row until the end', async () => {
    const { outbox, orders, database } = service;
    await orders.insert({ id: 'a', amount: 1 });
    const other = await database.connect();
    try {
      await outbox.transaction(async () => {
        await orders.findOne({ where: { id: 'a' }, lock: { mode: 'pessimistic_write' } });
        await other.query('SET innodb_lock_wait_timeout = 1');
        await expect(other.query("UPDATE orders SET amount = 9 WHERE id = 'a'")).rejects.toMatchObject({ errno: 1205 });
      });
      await other.query("UPDATE orders SET amount = 9 WHERE id = 'a'");
    } finally {
      await other.end();
    }
  });

  it('keeps concurrent transactions apart', async () => {
    const { outbox, orders, database } = service;
    const outcomes = await Promise.allSettled(
      Array.from({ length: 12 }, (_, n) =>
        outbox.transaction(async () => {
          await orders.insert({ id: `o${n}`, amount: n });
          outbox.add(Placed, { id: `o${n}` });
          await orders.count();
          if (n % 3 === 0) throw new Error('declined');
        }),
      ),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(8);
    const committed = await database.orders();
    expect(committed).toHaveLength(8);
    expect((await database.events()).sort()).toEqual(committed);
  });

  it('leaves plain use outside of transactions as it is', async () => {
    const { dataSource, orders, database } = service;
    await orders.insert({ id: 'a', amount: 1 });
    await expect(
      dataSource.transaction(async (manager) => {
        await manager.insert('Order', { id: 'b', amount: 1 });
        throw new Error('declined');
      }),
    ).rejects.toThrow('declined');
    expect(await database.orders()).toEqual(['a']);
  });

  describe('savepoints', () => {
    it('take their events along when they roll back, and keep them when they do not', async () => {
      const { outbox, dataSource, database } = service;
      await outbox.transaction(async (tx) => {
        await dataSource.transaction(async (manager) => {
          await manager.insert('Order', { id: 'kept', amount: 1 });
          outbox.add(Placed, { id: 'kept' });
        });
        await dataSource
          .transaction(async (manager) => {
            await manager.insert('Order', { id: 'undone', amount: 1 });
            outbox.add(Placed, { id: 'undone' });
            tx.afterCommit(() => {
              throw new Error('must not run');
            });
            throw new Error('declined');
          })
          .catch(() => undefined);
        tx.add(Placed, { id: 'after' });
      });
      expect([await database.orders(), await database.events()]).toEqual([['kept'], ['kept', 'after']]);
    });

    it('take their events along when they hold the first event of the transaction', async () => {
      const { outbox, dataSource, database } = service;
      await outbox.transaction(async () => {
        await dataSource
          .transaction(async () => {
            outbox.add(Placed, { id: 'undone' });
            throw new Error('declined');
          })
          .catch(() => undefined);
      });
      expect(await database.events()).toEqual([]);
    });

    it('work by hand as well', async () => {
      const { outbox, database } = service;
      await outbox.transaction(async (tx) => {
        tx.add(Placed, { id: 'a' });
        await tx.manager.query('SAVEPOINT here');
        tx.add(Placed, { id: 'b' });
        await tx.manager.query('SAVEPOINT `There`');
        tx.add(Placed, { id: 'c' });
        await tx.manager.query('ROLLBACK TO SAVEPOINT there');
        tx.add(Placed, { id: 'd' });
        await tx.manager.query('RELEASE SAVEPOINT there');
        await tx.manager.query('/* undo */ ROLLBACK WORK TO HERE');
        tx.add(Placed, { id: 'e' });
      });
      expect(await database.events()).toEqual(['a', 'e']);
    });

    it('of nested transactions that are asked for at the same time come one after another', async () => {
      const { outbox, dataSource, database } = service;
      const open = new Set<string>();
      const run = (id: string): Promise<void> =>
        dataSource.transaction(async (manager) => {
          open.add(id);
          await manager.insert('Order', { id, amount: 1 });
          outbox.add(Placed, { id });
          expect([...open]).toEqual([id]);
          open.delete(id);
          if (id === 'b') throw new Error('declined');
        });
      const outcomes = await outbox.transaction(() => Promise.allSettled(['a', 'b', 'c'].map(run)));
      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect([await database.orders(), await database.events()]).toEqual([
        ['a', 'c'],
        ['a', 'c'],
      ]);
    });

    it('of query runners that overlap doom the whole', async () => {
      const { outbox, dataSource, database } = service;
      const overlapping = outbox.transaction(async () => {
        const one = dataSource.createQueryRunner();
        const other = dataSource.createQueryRunner();
        await one.startTransaction();
        await other.startTransaction();
        await dataSource.query("INSERT INTO orders VALUES ('a', 1)");
        await one.commitTransaction();
        await other.commitTransaction();
      });
      await expect(overlapping).rejects.toMatchObject({ code: 'UNIT_DOOMED', message: expect.stringContaining('nested transactions') });
      expect(await database.orders()).toEqual([]);
    });

    it('that roll back what somebody else did beside them doom the whole', async () => {
      const { outbox, dataSource, database } = service;
      for (const beside of ['a row', 'an event'] as const) {
        const begun = Promise.withResolvers<void>();
        const done = Promise.withResolvers<void>();
        const both = outbox.transaction((tx) =>
          Promise.allSettled([
            dataSource.transaction(async (manager) => {
              await manager.insert('Order', { id: 'nested', amount: 1 });
              begun.resolve();
              await done.promise;
              throw new Error('declined');
            }),
            (async () => {
              await begun.promise;
              if (beside === 'a row') await tx.manager.insert('Order', { id: 'beside', amount: 1 });
              else tx.add(Placed, { id: 'beside' });
              done.resolve();
            })(),
          ]),
        );
        await expect(both).rejects.toMatchObject({ code: 'UNIT_DOOMED', message: expect.stringContaining('another branch') });
        expect([await database.orders(), await database.events()]).toEqual([[], []]);
      }
    });

    it('keep what somebody else did beside them when they do not roll back, or only looked', async () => {
      const { outbox, dataSource, database } = service;
      const begun = Promise.withResolvers<void>();
      const done = Promise.withResolvers<void>();
      await outbox.transaction((tx) =>
        Promise.allSettled([
          dataSource.transaction(async (manager) => {
            await manager.insert('Order', { id: 'nested', amount: 1 });
            begun.resolve();
            await done.promise;
            await dataSource
              .transaction(async () => {
                await dataSource.query("INSERT INTO orders VALUES ('inner', 1)");
                throw new Error('declined');
              })
              .catch(() => undefined);
          }),
          (async () => {
            await begun.promise;
            await tx.manager.insert('Order', { id: 'beside', amount: 1 });
            tx.add(Placed, { id: 'beside' });
            done.resolve();
          })(),
        ]),
      );
      expect([await database.orders(), await database.events()]).toEqual([['beside', 'nested'], ['beside']]);
    });

    it('refuse a stricter isolation level, which TypeORM would drop', async () => {
      const { outbox, dataSource } = service;
      await outbox.transaction({ isolationLevel: 'READ COMMITTED' }, async () => {
        await expect(dataSource.transaction('SERIALIZABLE', async () => undefined)).rejects.toMatchObject({ code: 'ISOLATION_TOO_WEAK' });
        await dataSource.transaction('READ COMMITTED', async () => undefined);
      });
    });
  });

  describe('decorators', () => {
    class OrderService {
      constructor(private readonly orders: Repository<Order>) {}

      @Transactional({ isolationLevel: 'READ COMMITTED', retry: { maxAttempts: 3 } })
      @Publishes(Placed, (order: Order) => ({ id: order.id }))
      async below(id: string): Promise<Order> {
        return await this.orders.save({ id, amount: 1 });
      }

      @Publishes(Placed, (order: Order) => ({ id: order.id }))
      @Transactional()
      async above(id: string): Promise<Order> {
        return await this.orders.save({ id, amount: 1 });
      }

      @Transactional()
      @Publishes(Placed, (order: Order) => ({ id: order.id }))
      async fails(id: string): Promise<Order> {
        await this.orders.save({ id, amount: 1 });
        throw new Error('declined');
      }

      @Transactional()
      async both(): Promise<void> {
        await this.below2('x');
        await this.above('y');
      }

      @Transactional()
      @Publishes(Placed, (order: Order) => ({ id: order.id }))
      async below2(id: string): Promise<Order> {
        return await this.orders.save({ id, amount: 1 });
      }
    }

    it('commit data and event together in either order, and nothing when the method throws', async () => {
      const { orders, database } = service;
      const decorated = new OrderService(orders);
      await decorated.below('a');
      await decorated.above('b');
      await expect(decorated.fails('c')).rejects.toThrow('declined');
      expect([await database.orders(), await database.events()]).toEqual([
        ['a', 'b'],
        ['a', 'b'],
      ]);
    });

    it('join the open transaction', async () => {
      const { outbox, orders, database } = service;
      const decorated = new OrderService(orders);
      await decorated.both();
      expect(await database.events()).toEqual(['x', 'y']);
      await expect(
        outbox.transaction(async () => {
          await decorated.below2('z');
          throw new Error('declined');
        }),
      ).rejects.toThrow('declined');
      expect([await database.orders(), await database.events()]).toEqual([
        ['x', 'y'],
        ['x', 'y'],
      ]);
    });
  });
});

describe.each(LANES)('plain repositories on %s', (_name, server, typeorm) => {
  it("are refused with 'refuse', where the transaction's manager still works, and so does outside()", async () => {
    const service = await startService(server, typeorm, { outbox: { plainRepositories: 'refuse' } });
    const { outbox, orders, dataSource, database } = service;
    try {
      await expect(
        outbox.transaction(async (tx) => {
          await tx.manager.insert('Order', { id: 'a', amount: 1 });
          await expect(orders.count()).rejects.toMatchObject({ code: 'QUERY_OUTSIDE_UNIT' });
          await expect(dataSource.query('SELECT 1')).rejects.toMatchObject({ code: 'QUERY_OUTSIDE_UNIT' });
          await outbox.outside(() => orders.insert({ id: 'log', amount: 0 }));
          throw new Error('declined');
        }),
      ).rejects.toThrow('declined');
      expect(await database.orders()).toEqual(['log']);
    } finally {
      await service.close();
    }
  });

  it("go to another connection with 'ignore', as TypeORM sends them", async () => {
    const service = await startService(server, typeorm, { outbox: { plainRepositories: 'ignore' } });
    const { outbox, orders, database } = service;
    try {
      await expect(
        outbox.transaction(async (tx) => {
          await tx.manager.insert('Order', { id: 'a', amount: 1 });
          await orders.insert({ id: 'b', amount: 1 });
          throw new Error('declined');
        }),
      ).rejects.toThrow('declined');
      expect(await database.orders()).toEqual(['b']);
    } finally {
      await service.close();
    }
  });
});
