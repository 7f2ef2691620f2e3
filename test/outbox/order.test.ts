import { defineEvent } from '@txbox/core';
import type { RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SUBJECTS, type Subject } from './subject.ts';

const Strict = defineEvent('strict', { topic: 'orders', strictOrder: true, key: (payload: { id: string }) => payload.id });
const Loose = defineEvent('loose', { topic: 'orders', key: (payload: { id: string }) => payload.id });
const Elsewhere = defineEvent('elsewhere', { topic: 'others', strictOrder: true, key: (payload: { id: string }) => payload.id });

describe.each(SUBJECTS)('strictOrder with %s', (_name, start) => {
  let subject: Subject;
  beforeAll(async () => {
    subject = await start();
  });
  afterAll(() => subject.close());
  beforeEach(async () => {
    await subject.database.clear();
    await subject.database.admin.query('DELETE FROM txbox_sequence');
  });

  /** Topic, key and number of every event, by position. */
  async function numbers(): Promise<(string | null)[]> {
    const [rows] = await subject.database.admin.query<RowDataPacket[]>(
      'SELECT topic, CAST(message_key AS CHAR) AS k, sequence FROM txbox_outbox ORDER BY position',
    );
    return rows.map(({ topic, k, sequence }) => `${topic} ${k} ${sequence}`);
  }

  it('numbers each topic and key by itself, from 1, within a transaction and across', async () => {
    const { outbox } = subject;
    await outbox.transaction(async (tx) => {
      for (const id of ['b', 'a', 'b']) tx.add(Strict, { id });
      tx.add(Loose, { id: 'a' });
      tx.add(Elsewhere, { id: 'a' });
    });
    await outbox.transaction(async (tx) => {
      tx.add(Strict, { id: 'a' });
    });
    expect(await numbers()).toEqual(['orders b 1', 'orders a 1', 'orders b 2', 'orders a null', 'others a 1', 'orders a 2']);
  });

  it('leaves no gap when a transaction, or a nested one, rolls back', async () => {
    const { outbox } = subject;
    const declined = outbox.transaction(async (tx) => {
      tx.add(Strict, { id: 'a' });
      throw new Error('declined');
    });
    await expect(declined).rejects.toThrow('declined');
    await outbox.transaction(async (tx) => {
      tx.add(Strict, { id: 'a' });
      const nested = outbox.transaction({ propagation: 'nested' }, async (inner) => {
        inner.add(Strict, { id: 'a' });
        throw new Error('undone');
      });
      await expect(nested).rejects.toThrow('undone');
      tx.add(Strict, { id: 'a' });
    });
    expect(await numbers()).toEqual(['orders a 1', 'orders a 2']);
  });

  it('gives writers that share no row numbers in the order of their positions, without gaps, and deadlocks none', async () => {
    const { outbox } = subject;
    const keys = ['a', 'b', 'c', 'd', 'e'];
    // The first message of a key makes its row, where gap locks may meet.
    await outbox.transaction(async (tx) => {
      for (const id of keys) tx.add(Strict, { id });
    });
    await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        outbox.transaction(async (tx) => {
          await subject.query('SELECT 1');
          // Every transaction in an order of its own.
          for (let at = 0; at < keys.length; at++) tx.add(Strict, { id: keys[(n * (at + 1) + at) % keys.length] as string });
        }),
      ),
    );
    const [rows] = await subject.database.admin.query<RowDataPacket[]>(
      'SELECT CAST(message_key AS CHAR) AS k, sequence FROM txbox_outbox ORDER BY position',
    );
    const last = new Map<string, number>();
    for (const { k, sequence } of rows) {
      expect(sequence).toBe((last.get(k) ?? 0) + 1);
      last.set(k, sequence);
    }
    expect(rows).toHaveLength(205);
  });

  it('numbers also what is added to a transaction of somebody else', async () => {
    const { outbox } = subject;
    await outbox.transaction(async (tx) => {
      tx.add(Strict, { id: 'a' });
    });
    await subject.foreign(async (addTo) => {
      await addTo(Strict, 'a');
    });
    expect(await numbers()).toEqual(['orders a 1', 'orders a 2']);
  });

  it('needs a key', async () => {
    const { outbox } = subject;
    await outbox.transaction(async (tx) => {
      expect(() => tx.add(Strict, { id: 'a' }, { key: null })).toThrowError(expect.objectContaining({ code: 'KEY_INVALID' }));
    });
  });
});

describe.each(SUBJECTS)('write skew with %s', (_name, start) => {
  it('becomes a correct result at SERIALIZABLE with retry', async () => {
    const subject = await start();
    try {
      const { outbox, database } = subject;
      await database.admin.query("INSERT INTO orders VALUES ('one', 100), ('other', 100)");
      // Two accounts may together not fall below zero; each alone may.
      const withdraw = (account: string): Promise<string> =>
        outbox.transaction({ isolationLevel: 'SERIALIZABLE', retry: { maxAttempts: 10 } }, async (tx) => {
          const rows = await subject.query("SELECT SUM(amount) AS total FROM orders WHERE id IN ('one', 'other')");
          if (Number(rows[0]?.['total']) < 150) return 'refused';
          await subject.query(`UPDATE orders SET amount = amount - 150 WHERE id = '${account}'`);
          tx.add(Loose, { id: account });
          return 'paid';
        });
      const outcomes = await Promise.all([withdraw('one'), withdraw('other')]);
      expect(outcomes.toSorted()).toEqual(['paid', 'refused']);
      expect(await database.events()).toHaveLength(1);
      const amounts = [await database.amountOf('one'), await database.amountOf('other')].toSorted((a, b) => a - b);
      expect(amounts).toEqual([-50, 100]);
    } finally {
      await subject.close();
    }
  });
});
