import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineEvent } from '@txbox/core';
import { createOutbox, type TypeormOutbox } from '@txbox/outbox/typeorm';
import Database from 'better-sqlite3';
import { DataSource, EntitySchema, type EntitySubscriberInterface, type Repository } from 'typeorm';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

interface Order {
  id: string;
  amount: number;
}

const Placed = defineEvent('order.placed', { topic: 'orders', key: (payload: { id: string }) => payload.id });
const OrderSchema = new EntitySchema<Order>({
  name: 'Order',
  tableName: 'orders',
  columns: { id: { type: 'text', primary: true }, amount: { type: 'integer' } },
});

let folder: string;
let dataSource: DataSource;
let orders: Repository<Order>;
let outbox: TypeormOutbox;
/** Looks at what is committed. */
let outsider: Database.Database;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'txbox-outbox-'));
  const database = join(folder, 'a.db');
  dataSource = new DataSource({ type: 'better-sqlite3', database, entities: [OrderSchema], synchronize: true, enableWAL: true });
  await dataSource.initialize();
  orders = dataSource.getRepository<Order>('Order');
  outbox = createOutbox({ dataSource });
  await outbox.migrate();
  outsider = new Database(database);
});
afterEach(async () => {
  outsider.close();
  await outbox.close();
  await dataSource.destroy();
  rmSync(folder, { recursive: true, force: true });
});

const committed = (): unknown[] => outsider.prepare('SELECT id FROM orders ORDER BY id').pluck().all();
const events = (): unknown[] => outsider.prepare('SELECT CAST(message_key AS TEXT) FROM txbox_outbox ORDER BY position').pluck().all();
const subscribe = (subscriber: EntitySubscriberInterface): void => void dataSource.subscribers.push(subscriber);
const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'ok',
    (error: { code: unknown }) => error.code,
  );

describe('a transaction of a DataSource of SQLite', () => {
  it('commits what plain repositories wrote together with the events, and rolls both back', async () => {
    await expect(
      outbox.transaction(async (tx) => {
        await orders.insert({ id: 'undone', amount: 1 });
        tx.add(Placed, { id: 'undone' });
        throw new Error('declined');
      }),
    ).rejects.toThrow('declined');
    await outbox.transaction(async (tx) => {
      await orders.save({ id: 'a', amount: 1 });
      await tx.manager.insert('Order', { id: 'b', amount: 1 });
      await dataSource.transaction((manager) => manager.insert('Order', { id: 'c', amount: 1 }));
      tx.add(Placed, { id: 'a' });
      expect(committed()).toEqual([]);
    });
    expect([committed(), events()]).toEqual([['a', 'b', 'c'], ['a']]);
  });

  it('has the connection for itself, whatever else the DataSource is asked for', async () => {
    const outcomes = await Promise.allSettled(
      Array.from({ length: 16 }, async (_, n) => {
        const write = async (): Promise<void> => {
          await orders.insert({ id: `o${n}`, amount: n });
          await new Promise((resolve) => setImmediate(resolve));
          if (n % 4 === 0) throw new Error('declined');
        };
        if (n % 2 === 0) {
          await outbox.transaction(async (tx) => {
            tx.add(Placed, { id: `o${n}` });
            await write();
          });
          return;
        }
        await dataSource.transaction((manager) => manager.insert('Order', { id: `o${n}`, amount: n }));
      }),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(12);
    expect(committed()).toHaveLength(12);
    expect([...events()].sort()).toEqual(['o10', 'o14', 'o2', 'o6']);
  });

  it('has no outside: a step out of it is refused, where it would wait for itself', async () => {
    await outbox.transaction(async (tx) => {
      const outside = [
        () => orders.count(),
        () => dataSource.query('SELECT 1'),
        () => dataSource.transaction(async () => undefined),
        () => outbox.migrate(),
      ];
      for (const step of outside) expect(await codeOf(outbox.outside(step))).toBe('QUERY_OUTSIDE_UNIT');
      const ofItsOwn = (): Promise<void> => outbox.transaction({ propagation: 'requires-new' }, async () => undefined);
      for (const step of [ofItsOwn, () => outbox.transaction(async () => undefined)])
        expect(await codeOf(outbox.outside(step))).toBe('PROPAGATION_REFUSED');
      expect(await codeOf(ofItsOwn())).toBe('PROPAGATION_REFUSED');
      await orders.insert({ id: 'a', amount: 1 });
      tx.add(Placed, { id: 'a' });
    });
    expect([committed(), events()]).toEqual([['a'], ['a']]);
    // It is over, so there is one.
    expect(await outbox.outside(() => orders.count())).toBe(1);
  });

  it('refuses what was not awaited, but not in afterCommit or in a new transaction', async () => {
    const over = Promise.withResolvers<void>();
    const after = Promise.withResolvers<unknown>();
    let late: Promise<unknown[]> | undefined;
    await outbox.transaction(async (tx) => {
      late = over.promise.then(async () => [
        await codeOf(orders.insert({ id: 'plain', amount: 0 })),
        await codeOf(tx.manager.insert('Order', { id: 'kept', amount: 0 })),
        await codeOf(outbox.outside(() => orders.insert({ id: 'outside', amount: 0 }))),
        await codeOf(outbox.transaction(() => orders.insert({ id: 'new', amount: 0 }))),
      ]);
      tx.afterCommit(() => after.resolve(codeOf(orders.insert({ id: 'after', amount: 0 }))));
    });
    over.resolve();
    expect(await late).toEqual(['UNIT_CLOSED', 'UNIT_CLOSED', 'ok', 'ok']);
    expect(await after.promise).toBe('ok');
    expect(committed()).toEqual(['after', 'new', 'outside']);
  });

  it.each(['COMMIT', 'ROLLBACK', 'BEGIN', 'END'])('does not send %s, and is doomed', async (sql) => {
    await expect(
      outbox.transaction(async (tx) => {
        await orders.insert({ id: 'a', amount: 1 });
        tx.add(Placed, { id: 'a' });
        await expect(dataSource.query(sql)).rejects.toMatchObject({ code: 'UNIT_DOOMED' });
      }),
    ).rejects.toMatchObject({ code: 'UNIT_DOOMED' });
    expect([committed(), events()]).toEqual([[], []]);
    expect(await orders.count()).toBe(0);
  });

  it('is doomed by an error that rolls everything back, and sends nothing more', async () => {
    await orders.insert({ id: 'a', amount: 1 });
    await expect(
      outbox.transaction(async (tx) => {
        tx.add(Placed, { id: 'ghost' });
        await dataSource.query("INSERT OR ROLLBACK INTO orders VALUES ('a', 2)").catch(() => undefined);
        await expect(orders.insert({ id: 'late', amount: 1 })).rejects.toMatchObject({ code: 'UNIT_DOOMED' });
      }),
    ).rejects.toMatchObject({ code: 'UNIT_DOOMED' });
    expect([committed(), events()]).toEqual([['a'], []]);
  });

  it('is doomed by a nested transaction that is left open, and the connection is in order afterwards', async () => {
    await expect(
      outbox.transaction(async (tx) => {
        const runner = dataSource.createQueryRunner();
        await runner.startTransaction();
        await runner.query("INSERT INTO orders VALUES ('lost', 1)");
        tx.add(Placed, { id: 'lost' });
      }),
    ).rejects.toMatchObject({ code: 'UNIT_DOOMED', message: expect.stringContaining('nested') });
    await outbox.transaction(() => orders.insert({ id: 'a', amount: 1 }));
    expect([committed(), events()]).toEqual([['a'], []]);
  });

  it('loses the events of a savepoint with it', async () => {
    await outbox.transaction(async (tx) => {
      tx.add(Placed, { id: 'kept' });
      await dataSource
        .transaction(async (manager) => {
          await manager.insert('Order', { id: 'undone', amount: 1 });
          outbox.add(Placed, { id: 'undone' });
          throw new Error('declined');
        })
        .catch(() => undefined);
    });
    expect([committed(), events()]).toEqual([[], ['kept']]);
  });

  it('is committed whatever a subscriber does after it, and takes along what one does before', async () => {
    subscribe({
      beforeTransactionCommit: async (event) => {
        await event.manager.insert('Order', { id: 'audit', amount: 0 });
        outbox.add(Placed, { id: 'audit' });
      },
      afterTransactionCommit: () => Promise.reject(new Error('boom')),
    });
    const ran = vi.fn();
    await outbox.transaction(async (tx) => {
      tx.add(Placed, { id: 'a' });
      tx.afterCommit(ran);
    });
    expect(ran).toHaveBeenCalledOnce();
    expect([committed(), events()]).toEqual([['audit'], ['a', 'audit']]);
  });

  it('waits for another connection that writes, without stopping it, and says so when that takes too long', async () => {
    outsider.exec('BEGIN IMMEDIATE');
    const waiting = outbox.transaction(() => orders.insert({ id: 'a', amount: 1 }));
    await new Promise((resolve) => setImmediate(resolve));
    outsider.exec('COMMIT');
    await waiting;
    expect(committed()).toEqual(['a']);

    await dataSource.query('PRAGMA busy_timeout = 20');
    outsider.exec('BEGIN IMMEDIATE');
    await expect(outbox.transaction(async () => undefined)).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    outsider.exec('COMMIT');
    await outbox.transaction(() => orders.insert({ id: 'b', amount: 1 }));
    expect(committed()).toEqual(['a', 'b']);
  });

  it('takes events of a bare transaction by addTo', async () => {
    await dataSource.transaction(async (manager) => {
      await manager.insert('Order', { id: 'a', amount: 1 });
      await outbox.addTo(manager, Placed, { id: 'a' });
    });
    await expect(outbox.addTo(dataSource.manager, Placed, { id: 'x' })).rejects.toMatchObject({ code: 'NO_OPEN_TRANSACTION' });
    expect([committed(), events()]).toEqual([['a'], ['a']]);
  });
});
