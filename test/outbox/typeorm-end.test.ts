import { once } from 'node:events';
import type { EntityManager, EntitySubscriberInterface } from 'typeorm';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { LANES, type Order, Placed, type Service, startService } from './lane.ts';

const outcomeOf = async (work: () => Promise<unknown>): Promise<unknown> => {
  try {
    await work();
    return 'ok';
  } catch (error) {
    return (error as { code?: unknown }).code ?? error;
  }
};

describe.each(LANES)('the end of a transaction with %s', (_name, server, typeorm) => {
  let service: Service;
  const logger = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
  beforeAll(async () => {
    service = await startService(server, typeorm, { outbox: { logger }, dataSource: { extra: { connectionLimit: 4 } } });
  });
  afterAll(() => service.close());
  beforeEach(async () => {
    vi.clearAllMocks();
    await service.database.clear();
  });
  afterEach(() => {
    service.dataSource.subscribers.length = 0;
  });

  /** Adds a subscriber for the length of one test. */
  function subscribe(subscriber: EntitySubscriberInterface): void {
    service.dataSource.subscribers.push(subscriber);
  }

  describe('what was not awaited', () => {
    it('does not survive a rollback, when a branch of Promise.all is still writing', async () => {
      const { outbox, database } = service;
      let branch: Promise<unknown> | undefined;
      const written: number[] = [];
      await expect(
        outbox.transaction(async (tx) => {
          const writing = async (): Promise<void> => {
            for (let n = 0; ; n += 1) {
              await tx.manager.query('INSERT INTO orders VALUES (?, 0)', [`o${n}`]);
              written.push(n);
            }
          };
          branch = outcomeOf(writing);
          await Promise.all([
            branch,
            (async () => {
              await vi.waitUntil(() => written.length > 3, { interval: 1 });
              throw new Error('declined');
            })(),
          ]);
        }),
      ).rejects.toThrow('declined');
      expect(await branch).toBe('UNIT_CLOSED');
      expect(await database.orders()).toEqual([]);
    });

    it('is refused from the end of the function on; what was handed over before is part of the transaction', async () => {
      const { outbox, orders, database } = service;
      let late: Promise<unknown> | undefined;
      let handedOver: Promise<unknown> | undefined;
      await outbox.transaction(async (tx) => {
        await tx.manager.query('SELECT 1');
        const native = (await tx.manager.queryRunner?.connect()) as { query(sql: string, done: (error: unknown) => void): void };
        handedOver = new Promise((resolve) => native.query("INSERT INTO orders VALUES ('in', 0)", resolve));
        late = outcomeOf(() => orders.insert({ id: 'late', amount: 0 }));
        tx.add(Placed, { id: 'in' });
      });
      expect(await handedOver).toBeNull();
      expect(await late).toBe('UNIT_CLOSED');
      expect([await database.orders(), await database.events()]).toEqual([['in'], ['in']]);
    });

    it('is refused also when it begins after the end, but not with outside(), in afterCommit or in a new transaction', async () => {
      const { outbox, orders, dataSource, database } = service;
      let end = (): void => undefined;
      const over = new Promise<void>((resolve) => {
        end = resolve;
      });
      let after: Promise<unknown[]> | undefined;
      const afterCommit = Promise.withResolvers<unknown>();
      await outbox.transaction(async (tx) => {
        after = over.then(async () => [
          await outcomeOf(() => orders.insert({ id: 'plain', amount: 0 })),
          await outcomeOf(() => dataSource.query("INSERT INTO orders VALUES ('query', 0)")),
          await outcomeOf(() => dataSource.transaction((manager) => manager.insert('Order', { id: 'bare', amount: 0 }))),
          await outcomeOf(async () => outbox.add(Placed, { id: 'event' })),
          await outcomeOf(async () => tx.add(Placed, { id: 'event' })),
          await outcomeOf(() => tx.manager.insert('Order', { id: 'kept', amount: 0 })),
          await outcomeOf(() => outbox.outside(() => orders.insert({ id: 'outside', amount: 0 }))),
          await outcomeOf(() => outbox.transaction(() => orders.insert({ id: 'new', amount: 0 }))),
        ]);
        tx.afterCommit(() => afterCommit.resolve(outcomeOf(() => orders.insert({ id: 'after', amount: 0 }))));
      });
      end();
      expect(await after).toEqual(['UNIT_CLOSED', 'UNIT_CLOSED', 'UNIT_CLOSED', 'UNIT_CLOSED', 'UNIT_CLOSED', 'UNIT_CLOSED', 'ok', 'ok']);
      expect(await afterCommit.promise).toBe('ok');
      expect(await database.orders()).toEqual(['after', 'new', 'outside']);
      expect(await database.events()).toEqual([]);
    });

    it('dooms the transaction when it is a nested transaction, and holds no lock afterwards', async () => {
      const { outbox, dataSource, database } = service;
      const code = await outcomeOf(() =>
        outbox.transaction(async () => {
          const runner = dataSource.createQueryRunner();
          await runner.startTransaction();
          await runner.query("INSERT INTO orders VALUES ('lost', 1)");
          outbox.add(Placed, { id: 'lost' });
        }),
      );
      expect(code).toBe('UNIT_DOOMED');
      expect([await database.orders(), await database.events()]).toEqual([[], []]);
      await database.admin.query("SET innodb_lock_wait_timeout = 1; INSERT INTO orders VALUES ('lost', 2)");
    });

    it('dooms the transaction when it is a stream with rows to come', async () => {
      const { outbox, orders, database } = service;
      await database.admin.query(
        "INSERT INTO orders SELECT CONCAT('o', seq), 0 FROM (SELECT a.n + 10 * b.n + 100 * c.n AS seq FROM " +
          ['a', 'b', 'c']
            .map((t) => `(SELECT 0 n ${[1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => `UNION ALL SELECT ${n}`).join(' ')}) ${t}`)
            .join(', ') +
          ') s',
      );
      const code = await outcomeOf(() =>
        outbox.transaction(async () => {
          const stream = await orders.createQueryBuilder('o').stream();
          await once(stream, 'readable');
        }),
      );
      expect(code).toBe('UNIT_DOOMED');
      // Read to its end, or destroyed, it does no harm.
      await outbox.transaction(async (tx) => {
        const stream = await orders.createQueryBuilder('o').stream();
        for await (const _row of stream) break;
        tx.add(Placed, { id: 'a' });
      });
      expect(await database.events()).toEqual(['a']);
    });
  });

  describe("TypeORM's subscribers", () => {
    it('write before the events are inserted, and may add events, in beforeTransactionCommit', async () => {
      const { outbox, database } = service;
      subscribe({
        beforeTransactionCommit: async (event) => {
          await event.manager.insert('Order', { id: 'audit', amount: 0 });
          outbox.add(Placed, { id: 'audit' });
        },
      });
      await outbox.transaction(async (tx) => {
        await tx.manager.insert('Order', { id: 'a', amount: 1 });
        tx.add(Placed, { id: 'a' });
      });
      expect([await database.orders(), await database.events()]).toEqual([
        ['a', 'audit'],
        ['a', 'audit'],
      ]);
    });

    it('roll everything back when they throw in beforeTransactionCommit', async () => {
      const { outbox, database } = service;
      subscribe({ beforeTransactionCommit: () => Promise.reject(new Error('not today')) });
      await expect(
        outbox.transaction(async (tx) => {
          await tx.manager.insert('Order', { id: 'a', amount: 1 });
          tx.add(Placed, { id: 'a' });
        }),
      ).rejects.toThrow('not today');
      expect([await database.orders(), await database.events()]).toEqual([[], []]);
    });

    it('cannot make a committed transaction look like a failed one by throwing in afterTransactionCommit', async () => {
      const { outbox, database } = service;
      subscribe({ afterTransactionCommit: () => Promise.reject(new Error('boom')) });
      const ran = vi.fn();
      const result = await outbox.transaction(async (tx) => {
        tx.add(Placed, { id: 'a' });
        tx.afterCommit(ran);
        return 7;
      });
      expect(result).toBe(7);
      expect(ran).toHaveBeenCalledOnce();
      expect(await database.events()).toEqual(['a']);
      expect(logger.error).toHaveBeenCalledWith(
        expect.objectContaining({ err: expect.objectContaining({ message: 'boom' }) }),
        expect.any(String),
      );
    });

    it('work as they do without the framework in afterTransactionCommit and afterTransactionRollback', async () => {
      const { outbox, orders, dataSource, database } = service;
      subscribe({
        afterTransactionCommit: async (event) => {
          if (event.queryRunner.isTransactionActive) return;
          await event.manager.query("INSERT INTO orders VALUES ('same connection', 0)");
          dataSource.subscribers.length = 0;
          await orders.insert({ id: 'another connection', amount: 0 });
          await outbox.transaction(async (tx) => void tx.add(Placed, { id: 'new' }));
        },
        afterTransactionRollback: async (event) => {
          await event.manager.query("INSERT INTO orders VALUES ('after rollback', 0)");
        },
      });
      await outcomeOf(() =>
        outbox.transaction(async (tx) => {
          await tx.manager.insert('Order', { id: 'undone', amount: 1 });
          throw new Error('declined');
        }),
      );
      expect(await database.orders()).toEqual(['after rollback']);
      await outbox.transaction(async (tx) => void tx.add(Placed, { id: 'a' }));
      expect(await database.orders()).toEqual(['after rollback', 'another connection', 'same connection']);
      expect(await database.events()).toEqual(['a', 'new']);
    });

    it('may query in beforeQuery and afterQuery', async () => {
      const { outbox, database } = service;
      const seen: unknown[] = [];
      subscribe({
        beforeQuery: async (event) => {
          if (event.query.startsWith('INSERT INTO `orders`')) seen.push(await event.manager.query("SELECT 'before' AS word"));
        },
        afterQuery: async (event) => {
          if (event.query.startsWith('INSERT INTO `orders`')) seen.push(await event.manager.query("SELECT 'after' AS word"));
        },
      });
      await outbox.transaction(async (tx) => {
        await tx.manager.insert('Order', { id: 'a', amount: 1 });
      });
      expect(seen).toEqual([[{ word: 'before' }], [{ word: 'after' }]]);
      expect(await database.orders()).toEqual(['a']);
    });
  });

  it("keeps the transaction's manager from working after the end", async () => {
    const { outbox } = service;
    let kept: EntityManager | undefined;
    await outbox.transaction(async (tx) => {
      kept = tx.manager;
    });
    const manager = kept as EntityManager;
    await expect(manager.count('Order')).rejects.toMatchObject({ code: 'UNIT_CLOSED' });
    await expect(manager.getRepository<Order>('Order').find()).rejects.toMatchObject({ code: 'UNIT_CLOSED' });
    await expect(manager.transaction(async () => undefined)).rejects.toMatchObject({ code: 'UNIT_CLOSED' });
    await expect(manager.createQueryBuilder().insert().into('Order').values({ id: 'x', amount: 1 }).execute()).rejects.toMatchObject({
      code: 'UNIT_CLOSED',
    });
    const native = (await manager.queryRunner?.connect()) as { query(sql: string): unknown };
    expect(() => native.query('SELECT 1')).toThrowError(expect.objectContaining({ code: 'UNIT_CLOSED' }));
  });

  it('refuses a stricter isolation level than the open transaction has, whoever set it', async () => {
    const { outbox, database } = service;
    await outbox.transaction({ isolationLevel: 'READ COMMITTED' }, async () => {
      const inner = outcomeOf(() => outbox.transaction({ isolationLevel: 'REPEATABLE READ' }, async () => undefined));
      expect(await inner).toBe('ISOLATION_TOO_WEAK');
      expect(await outcomeOf(() => outbox.transaction({ isolationLevel: 'READ COMMITTED' }, async () => undefined))).toBe('ok');
    });
    await outbox.transaction(async (tx) => {
      // The server's default is found out.
      expect(await outcomeOf(() => outbox.transaction({ isolationLevel: 'REPEATABLE READ' }, async () => undefined))).toBe('ok');
      expect(await outcomeOf(() => outbox.transaction({ isolationLevel: 'SERIALIZABLE' }, async () => undefined))).toBe(
        'ISOLATION_TOO_WEAK',
      );
      tx.add(Placed, { id: 'a' });
    });
    expect(await database.events()).toEqual(['a']);
  });

  it('takes the isolation level that was asked for', async () => {
    const { outbox, orders, database } = service;
    const seen: Record<string, number> = {};
    for (const isolationLevel of ['READ COMMITTED', 'REPEATABLE READ'] as const) {
      await database.clear();
      await outbox.transaction({ isolationLevel }, async () => {
        await orders.count();
        await database.admin.query("INSERT INTO orders VALUES ('between', 0)");
        seen[isolationLevel] = await orders.count();
      });
    }
    expect(seen).toEqual({ 'READ COMMITTED': 1, 'REPEATABLE READ': 0 });
  });
});
