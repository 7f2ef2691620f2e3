import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineEvent } from '@txbox/core';
import { createOutbox, type SqliteOutbox } from '@txbox/outbox/sqlite';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const Placed = defineEvent('order.placed', { topic: 'orders', key: (payload: { id: string }) => payload.id });

let folder: string;
let database: Database.Database;
let outbox: SqliteOutbox;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'txbox-outbox-'));
  database = new Database(join(folder, 'a.db'));
  database.exec('CREATE TABLE orders (id TEXT PRIMARY KEY)');
  outbox = createOutbox({ database });
  await outbox.migrate();
});
afterEach(async () => {
  await outbox.close();
  database.close();
  rmSync(folder, { recursive: true, force: true });
});

const insert = (id: string): unknown => database.prepare('INSERT INTO orders VALUES (?)').run(id);
const orders = (): unknown[] => database.prepare('SELECT id FROM orders ORDER BY id').pluck().all();
const events = (): unknown[] => database.prepare('SELECT CAST(message_key AS TEXT) FROM txbox_outbox ORDER BY position').pluck().all();
const eventsSeenByOthers = (): unknown[] => {
  const other = new Database(database.name, { readonly: true });
  const seen = other.prepare('SELECT CAST(message_key AS TEXT) FROM txbox_outbox').pluck().all();
  other.close();
  return seen;
};

describe('transaction', () => {
  it('commits data and events together, in the order of add', async () => {
    const result = await outbox.transaction(async (tx) => {
      tx.add(Placed, { id: 'a' });
      insert('a');
      outbox.add(Placed, { id: 'b' });
      return 7;
    });
    expect(result).toBe(7);
    expect(orders()).toEqual(['a']);
    expect(events()).toEqual(['a', 'b']);
  });

  it('leaves nothing after a rollback', async () => {
    await expect(
      outbox.transaction(async (tx) => {
        insert('a');
        tx.add(Placed, { id: 'a' });
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    expect(orders()).toEqual([]);
    expect(events()).toEqual([]);
  });

  it('runs concurrent transactions one after another, and each keeps its own events', async () => {
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, (_, n) =>
        outbox.transaction(async (tx) => {
          insert(`o${n}`);
          await new Promise((resolve) => setImmediate(resolve));
          tx.add(Placed, { id: `o${n}` });
          if (n % 3 === 0) throw new Error('no');
        }),
      ),
    );
    const committed = outcomes.filter((outcome) => outcome.status === 'fulfilled').length;
    expect(committed).toBe(13);
    expect(events()).toHaveLength(13);
    expect([...events()].sort()).toEqual(orders());
  });

  it('joins the open transaction', async () => {
    await outbox.transaction(async () => {
      await outbox.transaction(async (tx) => {
        tx.add(Placed, { id: 'inner' });
      });
      expect(eventsSeenByOthers()).toEqual([]);
    });
    expect(events()).toEqual(['inner']);
  });

  it('refuses a stricter isolation and a retry inside an open one', async () => {
    await outbox.transaction(async () => {
      await expect(outbox.transaction({ isolationLevel: 'SERIALIZABLE' }, async () => 0)).rejects.toMatchObject({
        code: 'ISOLATION_TOO_WEAK',
      });
      await expect(outbox.transaction({ retry: { maxAttempts: 2 } }, async () => 0)).rejects.toMatchObject({ code: 'PROPAGATION_REFUSED' });
    });
  });

  it.each(['COMMIT', 'ROLLBACK'])(
    'is doomed when the transaction was ended by %s by hand, and keeps data and events together',
    async (sql) => {
      await expect(
        outbox.transaction(async (tx) => {
          insert('a');
          tx.add(Placed, { id: 'a' });
          database.exec(sql);
          tx.add(Placed, { id: 'late' });
        }),
      ).rejects.toMatchObject({ code: 'UNIT_DOOMED', retryable: false, details: { half: true } });
      expect(events()).toEqual(orders());
      expect(orders()).toEqual(sql === 'COMMIT' ? ['a'] : []);
    },
  );

  it('takes events back with whatever is rolled back, however it is', async () => {
    const prepared = database.prepare('ROLLBACK TO sp');
    const nested = database.transaction((id: string) => {
      insert(id);
      outbox.add(Placed, { id });
      throw new Error('no');
    });
    await outbox.transaction(async (tx) => {
      const both = (id: string): void => {
        insert(id);
        tx.add(Placed, { id });
      };
      both('a');
      expect(() => nested('b')).toThrow('no');
      database.exec('SAVEPOINT sp');
      both('c');
      prepared.run();
      both('d');
      database.exec('ROLLBACK TO sp -- undone');
      both('e');
    });
    expect(events()).toEqual(['a', 'e']);
    expect(orders()).toEqual(['a', 'e']);
  });

  it('adds events in the midst of an iteration, in order', async () => {
    for (const id of ['a', 'b', 'c']) insert(id);
    await outbox.transaction(async (tx) => {
      for (const row of database.prepare('SELECT id FROM orders ORDER BY id').iterate()) tx.add(Placed, row as { id: string });
      tx.add(Placed, { id: 'd' });
    });
    expect(events()).toEqual(['a', 'b', 'c', 'd']);
  });

  it('runs afterCommit after COMMIT, outside of the transaction, and survives what it throws', async () => {
    const seen: unknown[] = [];
    await outbox.transaction(async (tx) => {
      tx.add(Placed, { id: 'a' });
      tx.afterCommit(() => {
        seen.push(...events());
        throw new Error('ignored');
      });
    });
    expect(seen).toEqual(['a']);
  });

  it('tells the signal when it is over', async () => {
    let signal: AbortSignal | undefined;
    await outbox.transaction(async (tx) => {
      signal = tx.signal;
      expect(signal.aborted).toBe(false);
    });
    expect(signal?.aborted).toBe(true);
  });
});

describe('add', () => {
  it('refuses to work outside of a transaction, and names the ways', () => {
    expect(() => outbox.add(Placed, { id: 'a' })).toThrowError(
      expect.objectContaining({ code: 'NO_UNIT_OF_WORK', message: expect.stringContaining('addTo') }),
    );
  });

  it('refuses to work after the end', async () => {
    let late: (() => unknown) | undefined;
    await outbox.transaction(async (tx) => {
      late = () => tx.add(Placed, { id: 'late' });
    });
    expect(() => late?.()).toThrowError(expect.objectContaining({ code: 'UNIT_CLOSED' }));
  });

  it("refuses another database's transaction", async () => {
    const other = new Database(':memory:');
    const second = createOutbox({ database: other, name: 'second' });
    await outbox.transaction(async () => {
      expect(() => second.add(Placed, { id: 'a' })).toThrowError(expect.objectContaining({ code: 'WRONG_DATA_SOURCE' }));
    });
    await second.close();
    other.close();
  });

  it('refuses a closed outbox', async () => {
    await outbox.close();
    expect(() => outbox.add(Placed, { id: 'a' })).toThrowError(expect.objectContaining({ code: 'OUTBOX_CLOSED' }));
  });
});

describe('addTo', () => {
  it('writes into a transaction of somebody else', async () => {
    database.exec('BEGIN');
    await outbox.addTo(database, Placed, { id: 'a' });
    expect(events()).toEqual(['a']);
    database.exec('ROLLBACK');
    expect(events()).toEqual([]);
  });

  it('refuses a database without an open transaction', async () => {
    await expect(outbox.addTo(database, Placed, { id: 'a' })).rejects.toMatchObject({ code: 'NO_OPEN_TRANSACTION' });
  });
});

describe('schema', () => {
  it('says what to do when it is missing, and loses nothing', async () => {
    const other = new Database(join(folder, 'b.db'));
    other.exec('CREATE TABLE orders (id TEXT)');
    const bare = createOutbox({ database: other, name: 'bare' });
    await expect(
      bare.transaction(async (tx) => {
        other.exec("INSERT INTO orders VALUES ('x')");
        tx.add(Placed, { id: 'x' });
      }),
    ).rejects.toMatchObject({ code: 'SCHEMA_MISSING', message: expect.stringContaining('migrate') });
    expect(other.prepare('SELECT count(*) FROM orders').pluck().get()).toBe(0);
    await bare.close();
    other.close();
  });
});

describe('options', () => {
  it('reports every problem at once', () => {
    expect(() =>
      createOutbox({ database: {} as never, tablePrefix: 'x; DROP', onLockTimeout: 'maybe' as never, poolSize: 3 } as never),
    ).toThrowError(expect.objectContaining({ code: 'OPTIONS_INVALID', details: { problems: expect.objectContaining({ length: 4 }) } }));
  });
});
