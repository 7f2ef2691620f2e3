// What was obtained inside a transaction and is used after it, and TypeORM's subscribers that add events.
import type { EntitySubscriberInterface, InsertEvent, RemoveEvent, Repository, UpdateEvent } from 'typeorm';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LANES, type Order, Placed, type Service, startService } from './lane.ts';

const CLOSED = expect.objectContaining({ code: 'UNIT_CLOSED' });

describe.each(LANES)('%s', (_name, server, typeorm) => {
  let service: Service;
  beforeAll(async () => {
    service = await startService(server, typeorm, { dataSource: { extra: { connectionLimit: 4 } } });
  });
  afterAll(() => service.close());
  beforeEach(() => service.database.clear());
  afterEach(() => {
    service.dataSource.subscribers.length = 0;
  });

  const committed = async () => [await service.database.orders(), await service.database.events()];

  /** What `obtain` gives, from the inside of a transaction that has ended. */
  async function keep<T>(obtain: () => T | Promise<T>, end: 'commit' | 'rollback'): Promise<T> {
    let kept: { readonly value: T } | undefined;
    const ended = service.outbox.transaction(async () => {
      kept = { value: await obtain() };
      if (end === 'rollback') throw new Error('declined');
    });
    await ended.catch(() => undefined);
    return (kept as { readonly value: T }).value;
  }

  describe.each(['commit', 'rollback'] as const)('after a %s', (end) => {
    it.each<[string, (service: Service) => Repository<Order>]>([
      ['repository of the DataSource', ({ dataSource }) => dataSource.getRepository<Order>('Order')],
      ['repository of dataSource.manager', ({ dataSource }) => dataSource.manager.getRepository<Order>('Order')],
      ['custom repository of it', ({ dataSource }) => dataSource.getRepository<Order>('Order').extend({})],
      ['repository of outbox.manager', ({ outbox }) => outbox.manager.getRepository<Order>('Order')],
    ])('a %s works by itself, or is closed, and never half', async (what, obtain) => {
      const kept = await keep(() => obtain(service), end);
      // outbox.manager hands out what is of the transaction that is open.
      if (what.endsWith('outbox.manager')) {
        await expect(kept.insert({ id: 'late', amount: 1 })).rejects.toEqual(CLOSED);
        expect(await committed()).toEqual([[], []]);
        return;
      }
      await kept.insert({ id: 'late', amount: 1 });
      expect(await committed()).toEqual([['late'], []]);
      await service.outbox.transaction(async (tx) => {
        await kept.insert({ id: 'next', amount: 1 });
        tx.add(Placed, { id: 'next' });
      });
      expect(await committed()).toEqual([['late', 'next'], ['next']]);
    });

    it('a query builder of the DataSource works by itself', async () => {
      const insert = await keep(
        () => service.dataSource.createQueryBuilder().insert().into('Order').values({ id: 'late', amount: 1 }),
        end,
      );
      await insert.execute();
      const select = await keep(() => service.orders.createQueryBuilder('o'), end);
      expect(await select.getCount()).toBe(1);
      expect(await committed()).toEqual([['late'], []]);
    });

    it("a query builder, a repository and a query runner of the transaction's own are closed", async () => {
      const { manager } = service.outbox;
      const insert = await keep(() => manager.createQueryBuilder().insert().into('Order').values({ id: 'late', amount: 1 }), end);
      await expect(insert.execute()).rejects.toEqual(CLOSED);
      const select = await keep(() => manager.getRepository<Order>('Order').createQueryBuilder('o'), end);
      await expect(select.getMany()).rejects.toEqual(CLOSED);
      const runner = await keep(() => service.dataSource.createQueryRunner(), end);
      await expect(runner.query("INSERT INTO orders VALUES ('late', 1)")).rejects.toEqual(CLOSED);
      await expect(runner.startTransaction()).rejects.toEqual(CLOSED);
      expect(await committed()).toEqual([[], []]);
    });

    it('a stream that was destroyed unread leaves its connection fit for the next', async () => {
      await service.orders.insert([
        { id: 'a', amount: 1 },
        { id: 'b', amount: 1 },
      ]);
      await keep(async () => {
        const stream = await service.orders.createQueryBuilder('o').stream();
        stream.destroy();
        return stream;
      }, end);
      await Promise.all(
        Array.from({ length: 8 }, (_, n) => service.outbox.transaction(async (tx) => void tx.add(Placed, { id: `n${n}` }))),
      );
      expect((await service.database.events()).toSorted()).toEqual(Array.from({ length: 8 }, (_, n) => `n${n}`));
    });
  });

  describe('subscribers of entities add events to the transaction that changes them', () => {
    const outbox = () => service.outbox;
    const auditor: EntitySubscriberInterface<Order> = {
      afterInsert: async ({ entity }: InsertEvent<Order>) => void outbox().add(Placed, { id: `inserted ${entity?.id}` }),
      afterUpdate: async ({ databaseEntity }: UpdateEvent<Order>) => void outbox().add(Placed, { id: `updated ${databaseEntity?.id}` }),
      afterRemove: async ({ databaseEntity }: RemoveEvent<Order>) => void outbox().add(Placed, { id: `removed ${databaseEntity?.id}` }),
    };
    const work = async (orders: Repository<Order>): Promise<void> => {
      const order = await orders.save({ id: 'a', amount: 1 });
      await orders.save({ ...order, amount: 2 });
      await orders.save({ id: 'b', amount: 1 });
      await orders.remove(order);
    };

    it('with plain repositories and with the manager, and vanish when it rolls back', async () => {
      service.dataSource.subscribers.push(auditor);
      const declined = service.outbox.transaction(async () => {
        await work(service.orders);
        throw new Error('declined');
      });
      await expect(declined).rejects.toThrow('declined');
      expect(await committed()).toEqual([[], []]);
      await service.outbox.transaction(() => work(service.orders));
      const expected = ['inserted a', 'updated a', 'inserted b', 'removed a'];
      expect(await committed()).toEqual([['b'], expected]);
      await service.database.clear();
      await service.outbox.transaction((tx) => work(tx.manager.getRepository<Order>('Order')));
      expect(await committed()).toEqual([['b'], expected]);
    });

    it('and with a savepoint that rolls back', async () => {
      service.dataSource.subscribers.push(auditor);
      await service.outbox.transaction(async () => {
        await service.orders.save({ id: 'a', amount: 1 });
        const undone = service.dataSource.transaction(async (manager) => {
          await manager.save('Order', { id: 'b', amount: 1 });
          throw new Error('undone');
        });
        await expect(undone).rejects.toThrow('undone');
      });
      expect(await committed()).toEqual([['a'], ['inserted a']]);
    });

    it('and are told where no transaction of ours is open', async () => {
      service.dataSource.subscribers.push(auditor);
      await expect(service.orders.save({ id: 'a', amount: 1 })).rejects.toMatchObject({ code: 'NO_UNIT_OF_WORK' });
      expect(await committed()).toEqual([[], []]);
    });
  });
});

describe.each(LANES)('a DataSource with replicas, %s', (_name, server, typeorm) => {
  it('writes and reads on the master inside a transaction, and reads where it likes outside', async () => {
    const replica = await startService(server, typeorm);
    const service = await startService(server, typeorm, {
      dataSource: { extra: { connectionLimit: 2 } },
      replica: replica.database.url,
    });
    try {
      await replica.orders.insert({ id: 'stale', amount: 1 });
      const { dataSource, orders, outbox, database } = service;
      expect((await orders.find()).map(({ id }) => id)).toEqual(['stale']);
      const work = async (): Promise<void> => {
        await orders.insert({ id: 'a', amount: 1 });
        expect((await orders.find()).map(({ id }) => id)).toEqual(['a']);
        expect(await dataSource.createQueryRunner('slave').query('SELECT id FROM orders')).toMatchObject([{ id: 'a' }]);
        const stream = await orders.createQueryBuilder('o').stream();
        const streamed: unknown[] = [];
        for await (const row of stream as AsyncIterable<unknown>) streamed.push(row);
        expect(streamed).toHaveLength(1);
        outbox.add(Placed, { id: 'a' });
      };
      const declined = outbox.transaction(async () => {
        await work();
        expect((await outbox.outside(() => orders.find())).map(({ id }) => id)).toEqual(['stale']);
        throw new Error('declined');
      });
      await expect(declined).rejects.toThrow('declined');
      expect([await database.orders(), await database.events()]).toEqual([[], []]);
      await Promise.all([outbox.transaction(work), outbox.transaction(async (tx) => void tx.add(Placed, { id: 'other' }))]);
      expect([await database.orders(), (await database.events()).toSorted()]).toEqual([['a'], ['a', 'other']]);
      expect(await replica.database.events()).toEqual([]);
    } finally {
      await service.close();
      await replica.close();
    }
  });
});
