import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineEvent, type Transaction, Transactional, type TransactionOptions } from '@txbox/core';
import { createOutbox as createSqliteOutbox } from '@txbox/outbox/sqlite';
import { createOutbox as createTypeormOutbox } from '@txbox/outbox/typeorm';
import Database from 'better-sqlite3';
import { DataSource, EntitySchema } from 'typeorm';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

const Placed = defineEvent('order.placed', { topic: 'orders', key: (payload: { id: string }) => payload.id });
const Strict = defineEvent('strict', { topic: 'orders', strictOrder: true, key: (payload: { id: string }) => payload.id });

interface Subject {
  transaction<T>(options: TransactionOptions, fn: (tx: Transaction) => Promise<T>): Promise<T>;
  place(id: string): Promise<unknown>;
  close(): Promise<void>;
}

async function plain(path: string): Promise<Subject> {
  const database = new Database(path);
  const outbox = createSqliteOutbox({ database });
  await outbox.migrate();
  return {
    transaction: (options, fn) => outbox.transaction(options, fn),
    place: async (id) => database.prepare('INSERT INTO orders VALUES (?)').run(id),
    close: async () => {
      await outbox.close();
      database.close();
    },
  };
}

async function typeorm(path: string): Promise<Subject> {
  const entity = new EntitySchema<{ id: string }>({ name: 'Order', tableName: 'orders', columns: { id: { type: 'text', primary: true } } });
  const dataSource = await new DataSource({ type: 'better-sqlite3', database: path, entities: [entity] }).initialize();
  const outbox = createTypeormOutbox({ dataSource });
  await outbox.migrate();
  return {
    transaction: (options, fn) => outbox.transaction(options, fn),
    place: (id) => dataSource.getRepository('Order').insert({ id }),
    close: async () => {
      await outbox.close();
      await dataSource.destroy();
    },
  };
}

describe.each([
  ['better-sqlite3', plain],
  ['TypeORM on better-sqlite3', typeorm],
] as const)('a transaction of %s', (_name, start) => {
  let folder: string;
  let subject: Subject;
  let outsider: Database.Database;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'txbox-sqlite-'));
    outsider = new Database(join(folder, 'a.db'));
    outsider.pragma('journal_mode = WAL');
    outsider.exec('CREATE TABLE orders (id TEXT PRIMARY KEY)');
    subject = await start(join(folder, 'a.db'));
  });
  afterEach(async () => {
    await subject.close();
    outsider.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const committed = (): unknown[][] => [
    outsider.prepare('SELECT id FROM orders ORDER BY id').pluck().all(),
    outsider.prepare('SELECT CAST(message_key AS TEXT) FROM txbox_outbox ORDER BY position').pluck().all(),
  ];
  const codeOf = (work: Promise<unknown>): Promise<unknown> =>
    work.then(
      () => 'resolved',
      (error: { code: unknown }) => error.code,
    );

  it('undoes a nested one with its events, and nothing else', async () => {
    await subject.transaction({}, async (tx) => {
      await subject.place('before');
      tx.add(Placed, { id: 'before' });
      const nested = subject.transaction({ propagation: 'nested' }, async (inner) => {
        await subject.place('undone');
        inner.add(Placed, { id: 'undone' });
        inner.add(Strict, { id: 'undone' });
        throw new Error('declined');
      });
      await expect(nested).rejects.toThrow('declined');
      await Promise.all(
        ['a', 'b'].map((id) =>
          subject.transaction({ propagation: 'nested' }, async (inner) => {
            await subject.place(id);
            inner.add(Placed, { id });
          }),
        ),
      );
    });
    expect(committed()).toEqual([
      ['a', 'b', 'before'],
      ['before', 'a', 'b'],
    ]);
  });

  it('says that requires-new has no second connection, and keeps to the other propagations', async () => {
    await subject.transaction({}, async () => {
      expect(await codeOf(subject.transaction({ propagation: 'requires-new' }, async () => undefined))).toBe('PROPAGATION_REFUSED');
      expect(await codeOf(subject.transaction({ propagation: 'never' }, async () => undefined))).toBe('PROPAGATION_REFUSED');
      await subject.transaction({ propagation: 'mandatory' }, () => subject.place('a'));
      await subject.transaction({ propagation: 'supports' }, () => subject.place('b'));
    });
    expect(await codeOf(subject.transaction({ propagation: 'mandatory' }, async () => undefined))).toBe('PROPAGATION_REFUSED');
    await subject.transaction({ propagation: 'never' }, () => subject.place('c'));
    expect(committed()).toEqual([['a', 'b', 'c'], []]);
  });

  it('only reads when it is readOnly, and makes nobody wait', async () => {
    const readOnly = subject.transaction({ readOnly: true }, async (tx) => {
      outsider.exec("INSERT INTO orders VALUES ('by somebody else')");
      expect(() => tx.add(Placed, { id: 'a' })).toThrowError(expect.objectContaining({ code: 'UNIT_READ_ONLY' }));
      await subject.place('a');
    });
    await expect(readOnly).rejects.toThrow(/readonly/);
    await subject.transaction({}, () => subject.place('next'));
    expect(committed()[0]).toEqual(['by somebody else', 'next']);
  });

  it('rolls back when its time is over', async () => {
    const whole = subject.transaction({ timeoutMs: 30 }, async (tx) => {
      await subject.place('a');
      tx.add(Placed, { id: 'a' });
      await new Promise((resolve) => tx.signal.addEventListener('abort', resolve));
    });
    expect(await codeOf(whole)).toBe('UNIT_TIMED_OUT');
    await subject.transaction({}, async (tx) => {
      await subject.place('b');
      tx.add(Placed, { id: 'b' });
    });
    expect(committed()).toEqual([['b'], ['b']]);
  });

  it('is done once by its idempotencyKey', async () => {
    const fn = vi.fn(async (tx: Transaction) => {
      await subject.place('a');
      tx.add(Placed, { id: 'a' });
      return { paid: 7 };
    });
    const declined = subject.transaction({ idempotencyKey: 'k' }, async (tx) => {
      await fn(tx);
      throw new Error('declined');
    });
    await expect(declined).rejects.toThrow('declined');
    for (let round = 0; round < 3; round++) expect(await subject.transaction({ idempotencyKey: 'k' }, fn)).toEqual({ paid: 7 });
    expect(fn).toHaveBeenCalledTimes(2);
    await subject.transaction({ idempotencyKey: 'big' }, async () => 1n);
    expect(await codeOf(subject.transaction({ idempotencyKey: 'big' }, fn))).toBe('ALREADY_COMMITTED');
    expect(committed()).toEqual([['a'], ['a']]);
  });

  it('numbers events of strictOrder without gaps', async () => {
    await subject.transaction({}, async (tx) => {
      for (const id of ['a', 'b', 'a']) tx.add(Strict, { id });
    });
    const declined = subject.transaction({}, async (tx) => {
      tx.add(Strict, { id: 'a' });
      throw new Error('declined');
    });
    await expect(declined).rejects.toThrow('declined');
    await subject.transaction({}, async (tx) => void tx.add(Strict, { id: 'a' }));
    const rows = outsider.prepare('SELECT CAST(message_key AS TEXT), sequence FROM txbox_outbox ORDER BY position').raw().all();
    expect(rows).toEqual([
      ['a', 1],
      ['b', 1],
      ['a', 2],
      ['a', 3],
    ]);
  });

  it('is begun by a nested @Transactional where none is open', async () => {
    class Service {
      @Transactional({ propagation: 'nested', retry: { maxAttempts: 2 } })
      async place(id: string): Promise<void> {
        await subject.place(id);
      }
    }
    await new Service().place('a');
    expect(committed()[0]).toEqual(['a']);
  });
});
